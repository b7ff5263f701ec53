"""Kept connections to one server, with http.client. Any thread may send."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping

from .answers import Response
from .endpoint import Endpoint
from .errors import ConnectionFailed, MoedError, ProtocolError

# What a server does to a kept connection that it has given up.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Pool:
    """Idle connections wait in a stack: the one used last is the least likely to be stale."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._context = context
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None,
             timeout: float) -> Response:
        """One exchange; ConnectionFailed if it could not be completed in `timeout` seconds."""
        connection = self._take()
        if connection is not None:
            try:
                return self._exchange(connection, method, target, headers, body, timeout)
            except _STALE:
                pass  # closed while it was idle: a new one will tell whether the server is there
            except (OSError, http.client.HTTPException) as error:
                raise self._failure(error) from error
        try:
            return self._exchange(self._connect(timeout), method, target, headers, body, timeout)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> MoedError:
        broken = isinstance(error, OSError | http.client.IncompleteRead)
        kind = ConnectionFailed if broken else ProtocolError
        return kind(f"{self._endpoint.url}: {type(error).__name__}: {error}")

    def _exchange(self, connection: http.client.HTTPConnection, method: str, target: str,
                  headers: Mapping[str, str], body: bytes | None, timeout: float) -> Response:
        try:
            connection.timeout = timeout
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            data = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, names, data)

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._endpoint.host, self._endpoint.port
        if self._endpoint.tls:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
