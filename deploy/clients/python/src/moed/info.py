"""What a server says about itself (GET /v1/moe/info)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ProtocolError


@dataclass(frozen=True)
class Layer:
    """A layer that the server serves. Servers of one model agree on what is compared here."""

    index: int
    hidden: int
    experts: int
    experts_used: int
    expert_width: int
    types: Mapping[str, str] = field(hash=False)  # of each tensor
    fingerprint: str = ""
    # Experts that this server holds, as ranges, first and last.
    held: tuple[tuple[int, int], ...] = field(default=(), compare=False)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Info:
    """A server's model, layers and limits; `raw` is the whole document."""

    name: str
    architecture: str
    moe_layers: tuple[int, ...]  # of the model, served here or not
    layers: Mapping[int, Layer]  # served here
    limits: Mapping[str, int]
    raw: Mapping[str, Any] = field(repr=False)


def _layer(value: Mapping[str, Any]) -> Layer:
    everything = [[0, int(value["experts"]) - 1]]
    held = tuple((int(first), int(last)) for first, last in value.get("experts_held", everything))
    return Layer(index=int(value["layer"]), hidden=int(value["hidden"]),
                 experts=int(value["experts"]), experts_used=int(value["experts_used"]),
                 expert_width=int(value["expert_width"]), types=dict(value["types"]),
                 fingerprint=str(value.get("fingerprint", "")), held=held, raw=value)


def parse_info(url: str, body: bytes) -> Info:
    try:
        raw = json.loads(body)
        layers = [_layer(value) for value in raw["layers"]]
        return Info(name=str(raw["name"]), architecture=str(raw["architecture"]),
                    moe_layers=tuple(int(index) for index in raw["moe_layers"]),
                    layers={layer.index: layer for layer in layers},
                    limits=dict(raw["limits"]), raw=raw)
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"{url}/v1/moe/info is not moed's: {error!r}") from error
