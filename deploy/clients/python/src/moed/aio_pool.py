"""Kept connections to one server, with asyncio's streams. HTTP/1.1 as far as an answer needs it.
One event loop's; no locks, as nothing waits between taking and giving back."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from .answers import Response
from .endpoint import Endpoint
from .errors import ConnectionFailed, ProtocolError

_HEAD_MAX = 64 << 10

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(parts)


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer; interim ones (100) are passed over."""
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"an answer that begins with {lines[0][:40]!r}")
        status = int(rest[:3])
        if status >= 200:
            break
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return status, headers


async def _read_answer(reader: asyncio.StreamReader) -> tuple[Response, bool]:
    """The answer, and whether the connection may be used again."""
    status, headers = await _read_head(reader)
    keep = headers.get("connection", "").lower() != "close"
    if status in (204, 304):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body, keep = await reader.read(), False
    return Response(status, headers, body), keep


class AsyncPool:
    """Idle connections wait in a stack, as in pool.py."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._context = context
        self._idle: list[_Streams] = []

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None,
                   timeout: float) -> Response:
        """One exchange; ConnectionFailed if it could not be completed in `timeout` seconds."""
        try:
            return await asyncio.wait_for(self._send(method, target, headers, body), timeout)
        except (TimeoutError, EOFError, OSError) as error:
            reason = str(error) or f"no answer in {timeout:.3g} s"
            raise ConnectionFailed(
                f"{self._endpoint.url}: {type(error).__name__}: {reason}") from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise ProtocolError(f"{self._endpoint.url}: no HTTP: {error}") from error

    async def _send(self, method: str, target: str, headers: Mapping[str, str],
                    body: bytes | None) -> Response:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._endpoint.authority}"]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
        if self._idle:
            try:
                return await self._exchange(self._idle.pop(), request)
            except (EOFError, ConnectionError):
                pass  # closed while it was idle: a new one will tell whether the server is there
        return await self._exchange(await self._connect(), request)

    async def _exchange(self, streams: _Streams, request: bytes) -> Response:
        reader, writer = streams
        keep = False
        try:
            writer.write(request)
            await writer.drain()
            response, keep = await _read_answer(reader)
        finally:
            if not keep:
                writer.close()
        if keep:
            self._idle.append(streams)
        return response

    async def _connect(self) -> _Streams:
        end = self._endpoint
        context = (self._context or ssl.create_default_context()) if end.tls else None
        return await asyncio.open_connection(end.host, end.port, ssl=context, limit=_HEAD_MAX)

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for _, writer in idle:
            writer.close()
        for _, writer in idle:
            try:
                await writer.wait_closed()
            except OSError:
                pass  # the other side was first
