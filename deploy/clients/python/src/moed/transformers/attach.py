"""Replaces the MoE blocks of a loaded model by blocks that ask moed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..client import Client
from ..info import Info
from ..settings import Settings
from .families import Block, blocks_of
from .remote import RemoteBlock

# The widest that rows and their routing can be on the wire: bytes a number, bytes a chosen expert.
_NUMBER, _CHOICE = 4, 8


@dataclass(frozen=True)
class Attached:
    """What attach() did. Close the client when the model is done with."""

    client: Client
    layers: tuple[int, ...]
    freed_bytes: int  # of weights that the model no longer has


def _shape_of(block: Block) -> dict[str, int]:
    router = block.router
    return {"hidden": router.hidden_dim, "experts": router.num_experts,
            "experts_used": router.top_k}


def _check(block: Block, info: Info) -> None:
    """ValueError where the servers' layer cannot be the block's."""
    if block.family.architecture != info.architecture:
        raise ValueError(f"the servers have a model of architecture {info.architecture}, "
                         f"{block.family.block} needs {block.family.architecture}")
    layer = info.layers.get(block.layer)
    if layer is None:
        raise ValueError(f"layer {block.layer} is an MoE block of the model, the servers have "
                         f"layers {sorted(info.layers)}")
    for name, expected in _shape_of(block).items():
        if getattr(layer, name) != expected:
            raise ValueError(f"layer {block.layer} has {name} {expected}, the servers say "
                             f"{getattr(layer, name)}")


def _info_of(client: Client, blocks: Iterable[Block]) -> dict[int, Info]:
    """Of a server for each block's layer; one is asked for all that it has."""
    infos: dict[int, Info] = {}
    for block in blocks:
        if block.layer not in infos:
            info = client.info(layer=block.layer)
            infos.update(dict.fromkeys(info.layers, info))
            infos[block.layer] = info
    return infos


def _most_rows(block: Block, infos: Iterable[Info]) -> int:
    """That every server takes in one request, in bytes too."""
    shape = _shape_of(block)
    row = shape["hidden"] * _NUMBER + shape["experts_used"] * _CHOICE
    limits = [info.limits for info in infos]
    return max(1, min(min(limit["max_request_rows"], limit["max_body_bytes"] // row)
                      for limit in limits))


def _bytes_of(module: nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


def attach(model: nn.Module, urls: str | Iterable[str], *, router: Literal["server", "local"] =
           "server", settings: Settings | None = None) -> Attached:
    """Every MoE block of `model` asks the servers at `urls` (a proxy, or shards and replicas) from
    now on, and its weights are let go. With router="local" the model's own routers choose the
    experts and shared experts stay with the servers. ValueError, and an unchanged model, if the
    servers' layers do not fit."""
    if router not in ("server", "local"):
        raise ValueError(f"router is {router!r}, expected 'server' or 'local'")
    client = Client(urls, settings)
    try:
        blocks = list(blocks_of(model))
        infos = _info_of(client, blocks)
        for block in blocks:
            _check(block, infos[block.layer])
    except BaseException:
        client.close()
        raise
    before = _bytes_of(model)
    for block in blocks:
        remote = RemoteBlock(client, block.layer, _most_rows(block, infos.values()),
                             block.router if router == "local" else None,
                             block.family.returns_scores)
        setattr(block.parent, block.name, remote.train(block.module.training))
    return Attached(client, tuple(block.layer for block in blocks), before - _bytes_of(model))
