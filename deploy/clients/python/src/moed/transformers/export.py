"""The MoE blocks of a transformers model as a GGUF file that moed serves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from ..gguf import Value, write
from .families import Block, blocks_of
from .tensors import tensors_of


def _check_fixed(block: Block, config: Any) -> None:
    """What GGUF has no key for must be what its readers take for granted."""
    name = block.family.architecture
    for attribute, expected in {"hidden_act": "silu", **block.family.fixed}.items():
        found = getattr(config, attribute, expected)
        if found != expected:
            raise ValueError(f"{attribute} is {found!r}, GGUF files of architecture {name} can "
                             f"only mean {expected!r}")


def _router_keys(router: Any, config: Any) -> dict[str, Value]:
    """Of a router that groups, scales or renormalises by its configuration."""
    keys: dict[str, Value] = {"expert_count": int(router.num_experts),
                              "expert_used_count": int(router.top_k)}
    if hasattr(router, "norm_topk_prob"):
        keys["expert_weights_norm"] = bool(router.norm_topk_prob)
    if hasattr(router, "routed_scaling_factor"):
        keys["expert_weights_scale"] = float(router.routed_scaling_factor)
        keys["expert_gating_func"] = 2  # sigmoid
        keys["expert_group_count"] = int(router.num_group)
        keys["expert_group_used_count"] = int(router.topk_group)
        keys["expert_shared_count"] = int(config.n_shared_experts)
    return keys


def _keys(blocks: Sequence[Block], config: Any, name: str) -> dict[str, Value]:
    first = blocks[0]
    arch = first.family.architecture
    down = first.experts.down_proj
    keys: dict[str, Value] = {
        "block_count": int(config.num_hidden_layers),
        "embedding_length": int(config.hidden_size),
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        first.family.width_key: int(down.shape[1 if first.family.transposed else 2]),
        **_router_keys(first.router, config),
    }
    return {"general.architecture": arch, "general.name": name,
            **{f"{arch}.{key}": value for key, value in keys.items()}}


def export(model: nn.Module, path: str | os.PathLike[str], *, type: str = "f32",
           name: str = "experts") -> None:
    """Writes the blocks' weights to `path`: experts and shared experts as `type` (f32, f16, bf16,
    q8_0), routers, norms and biases as f32. Attention and the rest are not in the file. ValueError
    for what such a file cannot say."""
    config: Any = model.config
    blocks = list(blocks_of(model))
    _check_fixed(blocks[0], config)
    tensors = [tensor for block in blocks for tensor in tensors_of(block)]
    write(path, _keys(blocks, config, name), tensors, type)
