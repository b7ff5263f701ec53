"""What both clients are told when they are made."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field

from .endpoint import Endpoint
from .retry import Retry


@dataclass(frozen=True)
class Settings:
    """`timeout` is of one try, in seconds, connecting included; a call's deadline is of all.
    `in_flight` bounds the calls of Client.submit() that are under way at a time, and all of a lane's;
    a lane's client looks for `spin` seconds for an answer before it sleeps."""

    api_key: str | None = None
    timeout: float = 60.0
    retry: Retry = field(default_factory=Retry)
    ssl_context: ssl.SSLContext | None = None
    in_flight: int = 16
    spin: float = 0.0

    def __post_init__(self) -> None:
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ValueError("the API key has characters that no header can carry")
        if self.in_flight < 1:
            raise ValueError(f"in_flight is {self.in_flight}, expected 1 or more")


def endpoints_of(urls: str | Iterable[str]) -> dict[str, Endpoint]:
    """By URL, in the order given, once each."""
    parsed = [Endpoint.parse(url) for url in ([urls] if isinstance(urls, str) else urls)]
    if not parsed:
        raise ValueError("no URL is given")
    return {endpoint.url: endpoint for endpoint in parsed}
