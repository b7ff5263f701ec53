"""The weights of a block by their names in GGUF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..gguf import Tensor
from .families import Block


def _tensor(name: str, weight: torch.Tensor, whole: bool = False) -> Tensor:
    return Tensor(name, tuple(weight.shape),
                  lambda: weight.detach().to("cpu", torch.float32).contiguous().numpy(), whole)


def _bank(prefix: str, block: Block) -> Iterator[Tensor]:
    """Experts whose gate and up weights are one tensor [E, 2F, H], gate before up."""
    gate, up = block.experts.gate_up_proj.chunk(2, dim=1)
    yield _tensor(f"{prefix}.ffn_gate_exps.weight", gate)
    yield _tensor(f"{prefix}.ffn_up_exps.weight", up)
    yield _tensor(f"{prefix}.ffn_down_exps.weight", block.experts.down_proj)


def _transposed_bank(prefix: str, block: Block) -> Iterator[Tensor]:
    """Experts with weights [E, in, out] and biases; columns of gate and up alternate."""
    experts = block.experts
    for name, first in (("gate", 0), ("up", 1)):
        yield _tensor(f"{prefix}.ffn_{name}_exps.weight",
                      experts.gate_up_proj[..., first::2].transpose(1, 2))
        yield _tensor(f"{prefix}.ffn_{name}_exps.bias", experts.gate_up_proj_bias[..., first::2],
                      whole=True)
    yield _tensor(f"{prefix}.ffn_down_exps.weight", experts.down_proj.transpose(1, 2))
    yield _tensor(f"{prefix}.ffn_down_exps.bias", experts.down_proj_bias, whole=True)


def _router(prefix: str, router: Any) -> Iterator[Tensor]:
    yield _tensor(f"{prefix}.ffn_gate_inp.weight", router.weight, whole=True)
    if getattr(router, "bias", None) is not None:
        yield _tensor(f"{prefix}.ffn_gate_inp.bias", router.bias, whole=True)
    if getattr(router, "e_score_correction_bias", None) is not None:
        yield _tensor(f"{prefix}.exp_probs_b.bias", router.e_score_correction_bias, whole=True)


def _shared(prefix: str, block: Block) -> Iterator[Tensor]:
    shared, gate = block.part(block.family.shared), block.part(block.family.shared_gate)
    if shared is not None:
        for name in ("gate", "up", "down"):
            yield _tensor(f"{prefix}.ffn_{name}_shexp.weight",
                          getattr(shared, f"{name}_proj").weight)
    if gate is not None:
        yield _tensor(f"{prefix}.ffn_gate_inp_shexp.weight", gate.weight.reshape(-1), whole=True)


def tensors_of(block: Block) -> Iterator[Tensor]:
    """All that moed needs to compute the block, and the norm before it."""
    prefix = f"blk.{block.layer}"
    norm: Any = block.parent.post_attention_layernorm
    yield _tensor(f"{prefix}.{block.family.norm}.weight", norm.weight, whole=True)
    yield from _router(prefix, block.router)
    yield from (_transposed_bank if block.family.transposed else _bank)(prefix, block)
    yield from _shared(prefix, block)
