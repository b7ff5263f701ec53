"""When to try again, where, and when to give up. No clock but the caller's, no sockets.

The call is pure, so it may be sent again after any failure: no connection, a connection that broke,
429, 502 and 503. Nothing else is worth a second try: the answer would be the same.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import ConnectionFailed, DeadlineExceeded, MoedError, Overloaded, Unavailable


@dataclass(frozen=True)
class Retry:
    """Pauses grow twofold from `base` to `most` seconds, each drawn from zero to that, so that
    clients that failed together do not come back together. A server's Retry-After is waited for in
    full, before any jitter."""

    attempts: int = 8  # in all; 1: never again
    base: float = 0.05
    most: float = 2.0
    random: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def pause(self, failures: int, retry_after: float | None) -> float:
        """Seconds to wait after the `failures`-th failure in a row."""
        jitter = self.random.uniform(0.0, min(self.most, self.base * 2.0 ** (failures - 1)))
        return (retry_after or 0.0) + jitter


def _goes_elsewhere(error: MoedError) -> bool:
    """Whether another replica may be asked at once. Not after 429: a fleet that is full would get
    every request once a replica."""
    return isinstance(error, ConnectionFailed | Unavailable)


class Attempts:
    """The tries of one call over the replicas that can answer it."""

    def __init__(self, retry: Retry, urls: Sequence[str], timeout: float,
                 deadline: float | None) -> None:
        self._retry = retry
        self._urls = urls
        self._timeout = timeout
        self._end = math.inf if deadline is None else time.monotonic() + deadline
        self._failures = 0

    @property
    def url(self) -> str:
        """Whom to ask now."""
        return self._urls[self._failures % len(self._urls)]

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, or infinity."""
        return self._end - time.monotonic()

    def time_left(self) -> float:
        """Seconds that this try may take; DeadlineExceeded when there are none."""
        left = self.remaining
        if left <= 0:
            raise DeadlineExceeded(f"{self.url}: the deadline passed before it was asked")
        return min(left, self._timeout)

    def failed(self, error: MoedError) -> float:
        """Seconds to wait before the next try; raises `error` when there is to be none."""
        self._failures += 1
        if isinstance(error, ConnectionFailed) and self.remaining <= 0:
            raise DeadlineExceeded(f"the deadline passed: {error}") from error
        if not isinstance(error, ConnectionFailed | Overloaded | Unavailable):
            raise error
        if self._failures >= self._retry.attempts:
            raise error
        if _goes_elsewhere(error) and self._failures % len(self._urls) != 0:
            return 0.0
        pause = self._retry.pause(self._failures, getattr(error, "retry_after", None))
        if pause >= self.remaining:
            raise error  # says more than that the deadline would pass
        return pause
