"""Calls through shared memory to a server of the same host, by libmoed-client. Any thread may ask; as
many calls are in flight as there are slots, and one more waits for a slot."""

from __future__ import annotations

import ctypes
import json
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .answers import Response
from .arrays import item_size
from .calls import Call
from .errors import ConnectionFailed, MoedError, ServerError, server_error
from .lane_library import DTYPES, FLAGS, Error, LaneCall, Layer, Options, load
from .settings import Settings

_HTTP = {1: 400, 2: 400, 3: 401, 4: 404, 8: 413, 10: 421, 11: 421, 12: 422, 13: 422, 14: 429,
         16: 499, 19: 503, 25: 503, 26: 503, 27: 503, 29: 504}  # <moed/error.h>; others: 500
_IO, _DEADLINE, _SHAPE, _MALFORMED = 20, 29, 2, 1
_FEW_ROWS = 512  # of a call, for which slots are made unless one has more
_LATEST_US = 2**32 - 1


@dataclass
class InFlight:
    """A call that the server has; `keep` is what its pointers point to."""

    lane: _Lane
    raw: LaneCall
    answer: memoryview
    dtype: str
    keep: tuple[object, ...]
    end: float  # when nobody waits any more


class _Lane:
    """An open libmoed-client, closed when it is stale and the last call has left it."""

    def __init__(self, library: Any, handle: ctypes.c_void_p, max_rows: int) -> None:
        n = ctypes.c_uint32()
        layers = library.moed_client_layers(handle, ctypes.byref(n))
        self.library, self.handle, self.max_rows = library, handle, max_rows
        self.layers: dict[int, Layer] = {layers[i].layer: layers[i] for i in range(n.value)}
        self.slots = int(library.moed_client_slots(handle))
        self.users, self.stale = 0, False


class Fetched(Protocol):
    """A call in flight that can be waited for by others than its owner."""

    def begun(self, flight: InFlight) -> None:
        """What fetch() is to wait for."""

    def fetch(self) -> None:
        """Takes the answer out of its slot."""


class LanePool:
    """A server at lane:PATH."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url, self._settings = url, settings
        try:
            self._library = load()
        except OSError as error:
            raise ConnectionFailed(f"{url}: libmoed-client is needed for it and cannot be loaded: "
                                   f"{error}") from error
        self._lane: _Lane | None = None
        self._lock = threading.Lock()
        self._submitting = threading.Lock()
        self._unfetched: deque[Fetched] = deque()

    # ---- opening and closing ----
    def _refuse(self, code: int, text: str) -> ServerError:
        name = self._library.moed_error_name(code).decode()
        body = json.dumps({"code": name, "detail": text}).encode()
        return server_error(self.url, _HTTP.get(-code, 500),
                            {"content-type": "application/problem+json"}, body)

    def _open(self, slots: int, max_rows: int) -> _Lane:
        key = self._settings.api_key
        options = Options(ctypes.sizeof(Options), key.encode() if key is not None else None, slots,
                          max_rows, round(self._settings.spin * 1e6),
                          max(1, math.ceil(self._settings.timeout * 1000)))
        handle, error = ctypes.c_void_p(), Error()
        code = self._library.moed_client_open(self.url.encode(), ctypes.byref(options),
                                              ctypes.byref(handle), ctypes.byref(error))
        if code == -_IO:
            raise ConnectionFailed(f"{self.url}: {error.text()}")
        if code != 0:
            raise self._refuse(code, error.text())
        return _Lane(self._library, handle, max_rows)

    def _take(self, rows: int) -> _Lane:
        """A lane whose slots take so many rows."""
        with self._lock:
            if self._lane is not None and rows > self._lane.max_rows:
                self._drop(self._lane)
            if self._lane is None:
                self._lane = self._open(self._settings.in_flight + 1, max(_FEW_ROWS, rows))
            self._lane.users += 1
            return self._lane

    def _leave(self, lane: _Lane, stale: bool = False) -> None:
        with self._lock:
            lane.users -= 1
            if stale or lane.stale:
                self._drop(lane)

    def _drop(self, lane: _Lane) -> None:
        if self._lane is lane:
            self._lane = None
        lane.stale = True
        if lane.users == 0 and lane.handle:
            self._library.moed_client_close(lane.handle)
            lane.handle = ctypes.c_void_p()

    def close(self) -> None:
        """Waits for what is in flight."""
        while self._unfetched:
            self._unfetched.popleft().fetch()
        with self._lock:
            if self._lane is not None:
                self._drop(self._lane)

    # ---- calls ----
    def ask(self, call: Call[Any], remaining: float) -> Response:
        """The answer as HTTP would have it, or what is raised for one that is none."""
        if call.body is None:
            return self._describe()
        return self.finish(self.begin(call, remaining))

    def _describe(self) -> Response:
        """Asked anew each time, as a lane has the description of when it was opened."""
        lane = self._open(1, 1)
        text = self._library.moed_client_info(lane.handle)
        self._library.moed_client_close(lane.handle)
        return Response(200, {}, text)

    def _shape(self, lane: _Lane, call: Call[Any]) -> tuple[Layer, int, int]:
        """The layer, rows and experts a row of a call whose body has rows of the right width."""
        query, body = call.query or {}, call.body or b""
        layer = lane.layers.get(call.layer or 0)
        if layer is None:
            raise self._refuse(-10, f"layer {call.layer} is not served by this server")
        experts = int(query.get("k", 0))
        each = layer.hidden * item_size(query["dtype"]) + 8 * experts
        if len(body) % each != 0 or call.width != layer.hidden:
            raise self._refuse(-_SHAPE, f"layer {call.layer}: found rows of {call.width} numbers, "
                                        f"expected {layer.hidden}")
        return layer, len(body) // each, experts

    def _flags(self, call: Call[Any]) -> int:
        flags = 0
        for name, usual in (("block", "ffn"), ("shared_experts", "include"),
                            ("on_missing_expert", "error")):
            value = (call.query or {}).get(name, usual)
            if value != usual and value not in FLAGS:
                known = ", ".join((usual, *FLAGS))
                raise self._refuse(-_MALFORMED, f"{name}: found {value!r}, expected one of {known}")
            flags |= FLAGS.get(value, 0)
        return flags

    def _fill(self, lane: _Lane, call: Call[Any], remaining: float) -> InFlight:
        layer, rows, experts = self._shape(lane, call)
        query = call.query or {}
        parts = query["return"].split(",")
        dtype = query.get("out_dtype", query["dtype"])
        raw = LaneCall(size=ctypes.sizeof(LaneCall), layer=layer.layer, rows=rows,
                       flags=self._flags(call), hidden_dtype=DTYPES[query["dtype"]],
                       output_dtype=DTYPES[dtype], experts=experts)
        if math.isfinite(remaining):
            raw.deadline_us = min(_LATEST_US, max(1, math.ceil(remaining * 1e6)))
        output = rows * layer.hidden * item_size(dtype) if "output" in parts else 0
        k = (experts or layer.used) if "routing" in parts else 0
        routing = rows * k * 4
        logits = rows * layer.experts * 4 if "logits" in parts else 0
        computed = not call.path.endswith("/route")
        spare = rows * layer.hidden * item_size(dtype) if computed and output == 0 else 0
        answer = bytearray(output + 2 * routing + logits + spare + 1)
        base = ctypes.addressof(ctypes.c_char.from_buffer(answer))
        if computed:
            raw.output = base if output > 0 else base + 2 * routing + logits
        if routing > 0 and experts == 0:
            raw.chosen_ids, raw.chosen_weights = base + output, base + output + routing
        if logits > 0:
            raw.logits = base + output + 2 * routing
        body = np.frombuffer(call.body or b"\0", np.uint8)
        raw.hidden = body.ctypes.data
        if experts > 0:
            raw.ids = raw.hidden + len(body) - 8 * rows * experts
            raw.weights = raw.ids + 4 * rows * experts
            if routing > 0:  # given back as it came
                answer[output:output + 2 * routing] = body[-2 * routing:].tobytes()
        return InFlight(lane, raw, memoryview(answer)[:output + 2 * routing + logits], dtype,
                        (body, call.body), time.monotonic() + self._settings.timeout)

    def begin(self, call: Call[Any], remaining: float) -> InFlight:
        """Submits; finish() is due for what is returned, once."""
        query = call.query or {}
        each = max(1, call.width * item_size(query["dtype"]))
        lane = self._take(len(call.body or b"") // each)
        error = Error()
        try:
            flight = self._fill(lane, call, remaining)
            code = self._library.moed_client_submit(lane.handle, ctypes.byref(flight.raw),
                                                    ctypes.byref(error))
            if code != 0:
                raise self._failure(code, error, True)
        except BaseException:
            self._leave(lane, error.code == -_IO)
            raise
        return flight

    def begin_later(self, call: Call[Any], remaining: float, owner: Fetched) -> None:
        """As begin(), for answers that may be fetched late or never: where they have all slots but
        one, the oldest is fetched first."""
        with self._submitting:
            most = self._settings.in_flight
            if self._lane is not None:
                most = min(most, max(1, self._lane.slots - 1))
            while len(self._unfetched) >= most:
                self._unfetched.popleft().fetch()
            owner.begun(self.begin(call, remaining))
            self._unfetched.append(owner)

    def fetched(self, owner: Fetched) -> None:
        try:
            self._unfetched.remove(owner)
        except ValueError:
            pass  # another thread was first

    def done(self, flight: InFlight) -> bool:
        return bool(self._library.moed_client_poll(flight.lane.handle, ctypes.byref(flight.raw)))

    def finish(self, flight: InFlight) -> Response:
        raw, error = flight.raw, Error()
        code = self._library.moed_client_wait(flight.lane.handle, ctypes.byref(raw),
                                              ctypes.byref(error))
        late = code == -_DEADLINE and time.monotonic() >= flight.end
        self._leave(flight.lane, code == -_IO or late)
        if code != 0:
            raise self._failure(code, error, late)
        timing = f"queue;dur={raw.queue_ns / 1e6:.6f}, compute;dur={raw.compute_ns / 1e6:.6f}"
        k = raw.experts or flight.lane.layers[raw.layer].used
        headers = {"x-moe-dtype": flight.dtype, "x-moe-k": str(k), "x-moe-layer": str(raw.layer),
                   "server-timing": timing}
        return Response(200, headers, flight.answer)

    def _failure(self, code: int, error: Error, late: bool) -> MoedError:
        if code == -_IO or (code == -_DEADLINE and late):
            return ConnectionFailed(f"{self.url}: {error.text()}")
        return self._refuse(code, error.text())
