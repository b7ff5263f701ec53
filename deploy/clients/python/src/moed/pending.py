"""Calls under way: what Client.submit() returns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """A call whose answer is fetched later; any thread may do so, as often as it likes."""

    def done(self) -> bool:
        """Whether result() returns at once."""

    def result(self, timeout: float | None = None) -> T_co:
        """Waits for the answer: what the call itself would have returned or raised. TimeoutError
        after `timeout` seconds; the call goes on, and its result can be asked for again."""


class Threaded(Generic[T]):
    """A pending call that a thread makes."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def done(self) -> bool:
        return self._future.done()

    def result(self, timeout: float | None = None) -> T:
        return self._future.result(timeout)


class Starter:
    """Threads for calls that are under way at the same time, started with the first of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def start(self, run: Callable[[float | None], T], deadline: float | None) -> Threaded[T]:
        """Has a thread call `run` with what is left of `deadline` by then."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._most, "moed-submit")
            threads = self._threads
        begin = time.monotonic()

        def late() -> T:
            return run(None if deadline is None else deadline - (time.monotonic() - begin))

        return Threaded(threads.submit(late))

    def close(self) -> None:
        """Waits for what is under way; what has not begun is cancelled."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(cancel_futures=True)
