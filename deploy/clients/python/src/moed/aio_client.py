"""The asyncio client. Belongs to one event loop; any number of its tasks may call at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import TypeVar, Unpack

from .aio_pool import AsyncPool
from .answers import Result
from .arrays import Hidden
from .calls import (Call, ForwardOptions, RouteOptions, forward_call, headers_of, info_call,
                    route_call)
from .endpoint import Endpoint
from .errors import ConnectionFailed, MoedError, ServerError, server_error
from .info import Info
from .lane_pool import LanePool
from .retry import Attempts
from .settings import Settings, endpoints_of
from .shards import Shards

T = TypeVar("T")


class AsyncClient:
    """As client.Client, for asyncio."""

    def __init__(self, urls: str | Iterable[str], settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._endpoints = endpoints_of(urls)
        self._pools = {url: self._pool(endpoint) for url, endpoint in self._endpoints.items()}
        self._shards: Shards | None = None
        self._lock = asyncio.Lock()

    def _pool(self, endpoint: Endpoint) -> AsyncPool | LanePool:
        if endpoint.is_lane:
            return LanePool(endpoint.url, self._settings)
        return AsyncPool(endpoint, self._settings.ssl_context)

    async def forward(self, hidden: Hidden, layer: int, *, deadline: float | None = None,
                      **options: Unpack[ForwardOptions]) -> Result:
        """The MoE block of `layer` over rows of shape [..., H]. `deadline` in seconds from now."""
        return await self._call(forward_call(hidden, layer, options), deadline)

    def submit(self, hidden: Hidden, layer: int, *, deadline: float | None = None,
               **options: Unpack[ForwardOptions]) -> asyncio.Task[Result]:
        """Begins what forward() does, as a task that can be awaited later."""
        call = forward_call(hidden, layer, options)
        return asyncio.get_running_loop().create_task(self._call(call, deadline))

    async def route(self, hidden: Hidden, layer: int, *, deadline: float | None = None,
                    **options: Unpack[RouteOptions]) -> Result:
        """The experts that the router chooses for rows of shape [..., H]."""
        return await self._call(route_call(hidden, layer, options), deadline)

    async def info(self, *, layer: int | None = None,
                   deadline: float | None = None) -> Info:
        """What a server is that has `layer`, or any. A proxy needs the layer to find one."""
        return await self._call(info_call(layer), deadline)

    async def shards(self) -> Shards:
        """Who serves what; asked for once, see refresh()."""
        async with self._lock:
            if self._shards is None:
                self._shards = await self._ask_all()
            return self._shards

    async def refresh(self) -> Shards:
        """Asks every server again what it serves."""
        shards = await self._ask_all()
        self._shards = shards
        return shards

    async def _ask_all(self) -> Shards:
        async def ask(url: str) -> Info | MoedError:
            try:
                return await self._try(info_call(), url, self._settings.timeout)
            except (ConnectionFailed, ServerError) as error:
                return error

        answers = dict(zip(self._endpoints, await asyncio.gather(*map(ask, self._endpoints)),
                           strict=True))
        return Shards({url: got for url, got in answers.items() if isinstance(got, Info)},
                      {url: got for url, got in answers.items() if isinstance(got, MoedError)})

    async def _parts(self, layer: int | None) -> list[list[str]]:
        if len(self._endpoints) == 1 or layer is None:
            return [list(self._endpoints)]
        return (await self.shards()).parts(layer)

    async def _call(self, call: Call[T], deadline: float | None) -> T:
        parts = await self._parts(call.layer)
        if len(parts) == 1 or call.combine is None:
            return await self._ask(call, parts[0], deadline)
        part = call.part()
        asked = (self._ask(part, urls, deadline) for urls in parts)
        return call.combine(await asyncio.gather(*asked))

    async def _ask(self, call: Call[T], urls: list[str], deadline: float | None) -> T:
        """Of one of `urls`, as often as it takes."""
        attempts = Attempts(self._settings.retry, urls, self._settings.timeout, deadline)
        while True:
            try:
                return await self._try(call, attempts.url, attempts.time_left(),
                                       attempts.remaining)
            except MoedError as error:
                pause = attempts.failed(error)
            await asyncio.sleep(pause)

    async def _try(self, call: Call[T], url: str, timeout: float,
                   remaining: float = float("inf")) -> T:
        pool = self._pools[url]
        if isinstance(pool, LanePool):
            return call.parse(url, await asyncio.to_thread(pool.ask, call, remaining))
        target = call.target(self._endpoints[url].prefix, remaining)
        headers = headers_of(call, self._settings.api_key)
        response = await pool.send(call.method, target, headers, call.body, timeout)
        if response.status != 200:
            raise server_error(url, response.status, response.headers, bytes(response.body))
        return call.parse(url, response)

    async def close(self) -> None:
        for pool in self._pools.values():
            if isinstance(pool, LanePool):
                pool.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()
                               if isinstance(pool, AsyncPool)))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()
