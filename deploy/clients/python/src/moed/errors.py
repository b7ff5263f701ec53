"""What can go wrong, as exceptions. All are MoedError; a ServerError carries the server's words."""

from __future__ import annotations

import json
from collections.abc import Mapping

_QUOTED = 200  # characters shown of an answer that is no problem+json


class MoedError(Exception):
    """The root of this package's exceptions."""


class ConnectionFailed(MoedError):
    """No answer: the server could not be reached, or hung up before it had answered."""


class ProtocolError(MoedError):
    """An answer that is not what moed promises; something else may be listening there."""


class ShardError(MoedError):
    """The servers named do not make one model, or none of them serves the layer."""


class DeadlineExceeded(MoedError):
    """The deadline passed, here or (with ServerError's details) at the server."""


class ServerError(MoedError):
    """The server refused. `code` is stable and for programs; str() is for people."""

    def __init__(self, url: str, status: int, problem: Mapping[str, object],
                 retry_after: float | None) -> None:
        self.url = url
        self.status = status
        self.code = str(problem.get("code", ""))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.request_id = str(problem.get("request_id", ""))
        self.retry_after = retry_after  # seconds
        label = f"{status} {self.code}".rstrip()
        super().__init__(f"{url}: {label}: {self.detail or self.title or 'no reason given'}")


class Overloaded(ServerError):
    """429: the queue is full. Worth another try after `retry_after`."""


class Unavailable(ServerError):
    """502 or 503: loading, draining, or a proxy that has no server. Worth another try."""


class ServerDeadlineExceeded(ServerError, DeadlineExceeded):
    """504: the server did not begin before the deadline."""


_BY_STATUS: dict[int, type[ServerError]] = {
    429: Overloaded, 502: Unavailable, 503: Unavailable, 504: ServerDeadlineExceeded}


def _read_problem(content_type: str, body: bytes) -> Mapping[str, object]:
    try:
        problem = json.loads(body) if "json" in content_type else None
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    # A proxy's own page, or something that is not moed.
    text = body[:_QUOTED].decode(errors="replace")
    return {"detail": f"{content_type or 'no content type'}: {text!r}"}


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None  # absent, or an HTTP date, which neither moed nor a proxy of its sends


def server_error(url: str, status: int, headers: Mapping[str, str], body: bytes) -> ServerError:
    """The exception for an answer that is not 200. Names of `headers` are in lower case."""
    kind = _BY_STATUS.get(status, ServerError)
    problem = _read_problem(headers.get("content-type", ""), body)
    return kind(url, status, problem, _seconds(headers.get("retry-after", "")))
