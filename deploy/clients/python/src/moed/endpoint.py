"""Where a server is, from its URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Endpoint:
    url: str  # as given, without a slash at the end
    tls: bool
    host: str
    port: int
    prefix: str  # of every path, for a server behind a proxy's path; may be ""

    @staticmethod
    def parse(url: str) -> Endpoint:
        """ValueError for what is no http:// or https:// URL of a server, nor lane:PATH."""
        if url.startswith("lane:"):
            return Endpoint(url, False, "", 0, "")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL like http://HOST:PORT or lane:PATH")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"{url!r}: expected no user, query or fragment")
        tls = parts.scheme == "https"
        port = parts.port if parts.port is not None else (443 if tls else 80)
        return Endpoint(url.rstrip("/"), tls, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def is_lane(self) -> bool:
        return self.url.startswith("lane:")

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"
