"""Calls under way: what Client.submit() returns."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar, cast

from .calls import Call
from .errors import ConnectionFailed, MoedError, Overloaded, Unavailable
from .lane_pool import InFlight, LanePool

_LOOK_SECONDS = 0.00005  # between two looks, where there is a time limit

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


class OnLane(Generic[T]):
    """A pending call that is in flight on a lane. Where it fails in a way that another try may mend,
    `again(seconds left)` makes it once more as forward() does."""

    def __init__(self, pool: LanePool, call: Call[T], deadline: float | None,
                 again: Callable[[float | None], T]) -> None:
        self._pool, self._call, self._again = pool, call, again
        self._deadline, self._begin = deadline, time.monotonic()
        self._lock = threading.Lock()
        self._answer: T | None = None
        self._error: BaseException | None = None
        self._over = False
        self._flight: InFlight | None = None
        if deadline is None or deadline > 0:
            left = math.inf if deadline is None else deadline
            try:
                pool.begin_later(call, left, self)
            except MoedError:
                pass  # result() tries again, or raises it

    def done(self) -> bool:
        if not self._lock.acquire(blocking=False):
            return False  # another thread waits for it
        try:
            return self._over or self._flight is None or self._pool.done(self._flight)
        finally:
            self._lock.release()

    def begun(self, flight: InFlight) -> None:
        self._flight = flight

    def fetch(self) -> None:
        """Waits for the answer and takes it out of its slot."""
        with self._lock:
            flight, self._flight = self._flight, None
            if flight is None:
                return
            try:
                self._answer = self._call.parse(self._pool.url, self._pool.finish(flight))
                self._over = True
            except (ConnectionFailed, Overloaded, Unavailable):
                pass  # result() tries again
            except MoedError as error:
                self._error, self._over = error, True

    def _retry(self) -> None:
        left = None
        if self._deadline is not None:
            left = self._deadline - (time.monotonic() - self._begin)
        with self._lock:
            if self._over:
                return
            try:
                self._answer = self._again(left)
            except MoedError as error:
                self._error = error
            self._over = True

    def result(self, timeout: float | None = None) -> T:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while math.isfinite(end) and not self.done():
            if time.monotonic() >= end:
                raise TimeoutError(f"no answer within {timeout} s")
            time.sleep(_LOOK_SECONDS)
        self.fetch()
        self._pool.fetched(self)
        if not self._over:
            self._retry()
        if self._error is not None:
            raise self._error
        return cast(T, self._answer)


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
