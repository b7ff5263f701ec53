"""A call as bytes to send and a way to read the answer. Knows HTTP's words, no sockets, so that
the blocking and the asyncio client share it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import urlencode

import numpy as np

from .answers import Asked, Response, Result, Routing, add_up, read
from .arrays import Hidden, Rows, check_dtype, pack
from .info import Info, parse_info

T = TypeVar("T")

PARTS = ("output", "routing", "logits")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request to any server that can answer it."""

    method: str
    path: str
    parse: Callable[[str, Response], T]  # (base URL, answer)
    layer: int | None = None  # which servers can answer; None: all
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    width: int = 0  # numbers in each of the body's rows
    # For servers that hold some of the layer's experts each: what is asked of them besides, and how
    # their answers become one. None: each of them can answer alone.
    part_query: Mapping[str, str] = field(default_factory=dict)
    combine: Callable[[Sequence[T]], T] | None = None

    def part(self) -> Call[T]:
        """The call to one of several servers whose answers are combined."""
        return replace(self, query={**(self.query or {}), **self.part_query})

    def target(self, prefix: str, remaining: float) -> str:
        """The request line's path; `remaining` seconds until the deadline, or infinity."""
        query = dict(self.query or {})
        if self.body is not None and math.isfinite(remaining):
            query["deadline_ms"] = str(max(1, math.ceil(remaining * 1000)))
        return prefix + self.path + (f"?{urlencode(query, safe=',')}" if query else "")


def _pack_routing(routing: Routing, rows: Rows) -> tuple[bytes, int]:
    ids, weights = np.asarray(routing.expert_ids), np.asarray(routing.weights)
    if ids.shape != weights.shape or ids.shape[:-1] != rows.lead:
        raise ValueError(f"expert_ids have shape {ids.shape} and weights {weights.shape}, expected "
                         f"[..., k] with the leading axes {rows.lead} of the hidden states")
    data = (ids.astype("<i4", casting="same_kind").tobytes() +
            weights.astype("<f4", casting="same_kind").tobytes())
    return data, ids.shape[-1]


def _check_parts(parts: Collection[str]) -> frozenset[str]:
    unknown = set(parts) - set(PARTS)
    if unknown or not parts:
        raise ValueError(f"parts are {sorted(parts)}, expected some of {', '.join(PARTS)}")
    return frozenset(parts)


class ForwardOptions(TypedDict, total=False):
    """What may be said to forward() by name."""

    routing: Routing  # the caller's experts, used as given; an id of -1 skips its slot
    parts: Collection[str]  # of the answer: output, routing, logits; default output
    out_dtype: str  # f32, f16, bf16; default that of the rows
    block: str  # ffn (default), norm_ffn, norm_ffn_residual
    shared_experts: str  # include (default), exclude, only


class RouteOptions(TypedDict, total=False):
    """What may be said to route() by name."""

    logits: bool  # the router's logits, too
    block: str  # norm_ffn: the rows are normed first


def forward_call(hidden: Hidden, layer: int, options: ForwardOptions) -> Call[Result]:
    """POST /v1/moe/layers/{L}/forward."""
    rows = pack(hidden)
    asked = Asked(rows, _check_parts(options.get("parts", ("output",))))
    query = {"dtype": rows.dtype, "return": ",".join(part for part in PARTS if part in asked.parts)}
    if "out_dtype" in options:
        query["out_dtype"] = check_dtype(options["out_dtype"])
    if "block" in options:
        query["block"] = options["block"]
    if "shared_experts" in options:
        query["shared_experts"] = options["shared_experts"]
    body = rows.data
    if "routing" in options:
        chosen, k = _pack_routing(options["routing"], rows)
        body += chosen
        query |= {"routing": "topk", "k": str(k)}
    dtype = query.get("out_dtype", rows.dtype)
    return Call("POST", f"/v1/moe/layers/{layer}/forward",
                lambda url, response: read(url, response, asked), layer, query, body,
                rows.width, {"on_missing_expert": "skip", "out_dtype": "f32"},
                lambda results: add_up(results, dtype, rows))


def route_call(hidden: Hidden, layer: int, options: RouteOptions) -> Call[Result]:
    """POST /v1/moe/layers/{L}/route: the router alone."""
    rows = pack(hidden)
    parts = ("routing", "logits") if options.get("logits", False) else ("routing",)
    asked = Asked(rows, frozenset(parts))
    query = {"dtype": rows.dtype, "return": ",".join(parts)}
    if "block" in options:
        query["block"] = options["block"]
    return Call("POST", f"/v1/moe/layers/{layer}/route",
                lambda url, response: read(url, response, asked), layer, query, rows.data,
                rows.width)


def info_call(layer: int | None = None) -> Call[Info]:
    """GET /v1/moe/info. A server does not read the query; a proxy finds a shard by it."""
    query = {} if layer is None else {"layer": str(layer)}
    return Call("GET", "/v1/moe/info", lambda url, response: parse_info(url, bytes(response.body)), layer,
                query)


def headers_of(call: Call[Any], api_key: str | None) -> dict[str, str]:
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    if call.body is not None:
        headers["Content-Type"] = "application/octet-stream"
    return headers
