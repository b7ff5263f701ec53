"""The blocking client. Any thread may use it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar, Unpack

from .answers import Result
from .arrays import Hidden
from .calls import (Call, ForwardOptions, RouteOptions, forward_call, headers_of, info_call,
                    route_call)
from .endpoint import Endpoint
from .errors import ConnectionFailed, MoedError, ServerError, server_error
from .info import Info
from .lane_pool import LanePool
from .pending import OnLane, Pending, Starter
from .pool import Pool
from .retry import Attempts
from .settings import Settings, endpoints_of
from .shards import Shards

T = TypeVar("T")


class Client:
    """Calls one server or proxy, or several that are shards and replicas of one model: then each
    call goes to a server that has the layer."""

    def __init__(self, urls: str | Iterable[str], settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._endpoints = endpoints_of(urls)
        self._pools = {url: self._pool(endpoint) for url, endpoint in self._endpoints.items()}
        self._shards: Shards | None = None
        self._lock = threading.Lock()
        self._starter = Starter(self._settings.in_flight)

    def _pool(self, endpoint: Endpoint) -> Pool | LanePool:
        if endpoint.is_lane:
            return LanePool(endpoint.url, self._settings)
        return Pool(endpoint, self._settings.ssl_context)

    def forward(self, hidden: Hidden, layer: int, *, deadline: float | None = None,
                **options: Unpack[ForwardOptions]) -> Result:
        """The MoE block of `layer` over rows of shape [..., H]. `deadline` in seconds from now."""
        return self._call(forward_call(hidden, layer, options), deadline)

    def submit(self, hidden: Hidden, layer: int, *, deadline: float | None = None,
               **options: Unpack[ForwardOptions]) -> Pending[Result]:
        """Begins what forward() does, and returns at once: result() of what is returned waits for
        the answer. The rows are copied, so they may be written over. Settings.in_flight calls are
        under way at a time, and later ones wait for their turn."""
        call = forward_call(hidden, layer, options)
        pool = next(iter(self._pools.values()))
        if len(self._pools) == 1 and isinstance(pool, LanePool):
            return OnLane(pool, call, deadline, lambda left: self._call(call, left))
        return self._starter.start(lambda left: self._call(call, left), deadline)

    def route(self, hidden: Hidden, layer: int, *, deadline: float | None = None,
              **options: Unpack[RouteOptions]) -> Result:
        """The experts that the router chooses for rows of shape [..., H]."""
        return self._call(route_call(hidden, layer, options), deadline)

    def info(self, *, layer: int | None = None,
             deadline: float | None = None) -> Info:
        """What a server is that has `layer`, or any. A proxy needs the layer to find one."""
        return self._call(info_call(layer), deadline)

    @property
    def shards(self) -> Shards:
        """Who serves what; asked for once, see refresh()."""
        with self._lock:
            if self._shards is None:
                self._shards = self._ask_all()
            return self._shards

    def refresh(self) -> Shards:
        """Asks every server again what it serves."""
        shards = self._ask_all()
        with self._lock:
            self._shards = shards
        return shards

    def _ask_all(self) -> Shards:
        infos: dict[str, Info] = {}
        unreachable: dict[str, MoedError] = {}
        for url in self._endpoints:
            try:
                infos[url] = self._try(info_call(), url, self._settings.timeout)
            except (ConnectionFailed, ServerError) as error:
                unreachable[url] = error
        return Shards(infos, unreachable)

    def _parts(self, layer: int | None) -> list[list[str]]:
        if len(self._endpoints) == 1 or layer is None:
            return [list(self._endpoints)]
        return self.shards.parts(layer)

    def _call(self, call: Call[T], deadline: float | None) -> T:
        parts = self._parts(call.layer)
        if len(parts) == 1 or call.combine is None:
            return self._ask(call, parts[0], deadline)
        part = call.part()
        with ThreadPoolExecutor(len(parts)) as threads:
            return call.combine(list(threads.map(lambda urls: self._ask(part, urls, deadline),
                                                 parts)))

    def _ask(self, call: Call[T], urls: list[str], deadline: float | None) -> T:
        """Of one of `urls`, as often as it takes."""
        attempts = Attempts(self._settings.retry, urls, self._settings.timeout, deadline)
        while True:
            try:
                return self._try(call, attempts.url, attempts.time_left(), attempts.remaining)
            except MoedError as error:
                pause = attempts.failed(error)
            time.sleep(pause)

    def _try(self, call: Call[T], url: str, timeout: float, remaining: float = float("inf")) -> T:
        pool = self._pools[url]
        if isinstance(pool, LanePool):
            return call.parse(url, pool.ask(call, remaining))
        target = call.target(self._endpoints[url].prefix, remaining)
        headers = headers_of(call, self._settings.api_key)
        response = pool.send(call.method, target, headers, call.body, timeout)
        if response.status != 200:
            raise server_error(url, response.status, response.headers, bytes(response.body))
        return call.parse(url, response)

    def close(self) -> None:
        self._starter.close()
        for pool in self._pools.values():
            pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
