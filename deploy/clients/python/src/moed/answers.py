"""Answers: raw bodies and their headers as arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from .arrays import Array, Rows, check_dtype, convert, item_size, unpack
from .errors import ProtocolError

T = TypeVar("T")


@dataclass(frozen=True)
class Response:
    """A whole answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes | memoryview


@dataclass(frozen=True)
class Routing:
    """Experts of each row, by falling weight, and their weights: [..., K] both."""

    expert_ids: Array  # int32
    weights: Array  # float32


def _given(part: T | None, name: str) -> T:
    if part is None:
        raise ValueError(f"the answer has no {name}: it was not asked for")
    return part


@dataclass(frozen=True)
class Result:
    """The answer to forward() or route(). Parts that were not asked for raise ValueError."""

    layer: int
    timing: Mapping[str, float]  # milliseconds: queue, compute
    request_id: str
    _output: Array | None = field(repr=False)
    _routing: Routing | None = field(repr=False)
    _logits: Array | None = field(repr=False)

    @property
    def output(self) -> Array:
        """[..., H], as the rows were."""
        return _given(self._output, "output")

    @property
    def routing(self) -> Routing:
        return _given(self._routing, "routing")

    @property
    def logits(self) -> Array:
        """The router's, float32 [..., E]."""
        return _given(self._logits, "logits")


def add_up(results: Sequence[Result], dtype: str, rows: Rows) -> Result:
    """The whole of partial sums in float32, in their order, as an answer of type `dtype`. The
    router is the same in all; they ran beside each other, so the slowest tells the time."""
    first = results[0]
    output = first._output
    if output is not None:
        for result in results[1:]:
            output = output + result.output
        output = convert(output, dtype, rows)
    timing = {name: max(result.timing.get(name, 0.0) for result in results)
              for name in first.timing}
    return replace(first, timing=timing, _output=output)


@dataclass(frozen=True)
class Asked:
    """What an answer's bytes mean depends on the request."""

    rows: Rows
    parts: frozenset[str]


def _timing_of(text: str) -> dict[str, float]:
    """Of `queue;dur=0.041, compute;dur=1.21`."""
    return {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([0-9.]+)", text)}


class _Reader:
    """Takes the parts of a raw body one after the other."""

    def __init__(self, url: str, response: Response) -> None:
        self.url = url
        self.headers = response.headers
        self.data = memoryview(response.body)

    def header(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise ProtocolError(f"{self.url}: an answer without {name}, expected moed's")
        return value

    def number(self, name: str) -> int:
        value = self.header(name)
        if not value.isdigit():
            raise ProtocolError(f"{self.url}: {name} is {value!r}, expected a number")
        return int(value)

    def take(self, size: int, what: str) -> memoryview:
        if size > len(self.data):
            raise ProtocolError(f"{self.url}: {len(self.data)} bytes are left of the answer, "
                                f"expected {size} of {what}")
        part, self.data = self.data[:size], self.data[size:]
        return part

    def table(self, columns: int, dtype: str, rows: Rows, what: str) -> Array:
        part = self.take(rows.count * columns * 4, what)
        values = np.frombuffer(part, dtype=dtype).reshape(rows.count, columns)
        return rows.shaped(values.astype(values.dtype.newbyteorder("=")))


def read(url: str, response: Response, asked: Asked) -> Result:
    reader, rows = _Reader(url, response), asked.rows
    output = routing = logits = None
    if "output" in asked.parts:
        dtype = check_dtype(reader.header("x-moe-dtype"))
        part = reader.take(rows.count * rows.width * item_size(dtype), "output")
        output = rows.shaped(unpack(part, dtype, rows))
    if "routing" in asked.parts:
        k = reader.number("x-moe-k")
        routing = Routing(reader.table(k, "<i4", rows, "expert ids"),
                          reader.table(k, "<f4", rows, "weights"))
    if "logits" in asked.parts:
        experts = len(reader.data) // max(1, 4 * rows.count)
        logits = reader.table(experts, "<f4", rows, "logits")
    if len(reader.data) > 0:
        raise ProtocolError(f"{url}: {len(reader.data)} bytes too many in the answer")
    return Result(reader.number("x-moe-layer"),
                  _timing_of(response.headers.get("server-timing", "")),
                  response.headers.get("x-request-id", ""), output, routing, logits)
