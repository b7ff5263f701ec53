"""The MoE blocks of transformers that are known here: what they are called there and in GGUF, and
where they keep what. A new one is a row of FAMILIES, and of the test that holds each to its own
block's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Family:
    block: str  # class of the block
    architecture: str  # general.architecture of its GGUF files
    width_key: str = "expert_feed_forward_length"
    norm: str = "ffn_norm"  # GGUF's name of the norm before the block
    router: str = "gate"  # attributes of the block
    shared: str | None = None
    shared_gate: str | None = None
    transposed: bool = False  # weights are [E, in, out], gate and up rows alternate, with biases
    returns_scores: bool = False  # the block returns a pair
    # What the architecture fixes and a configuration could say otherwise: attribute -> value.
    fixed: Mapping[str, Any] = field(default_factory=dict)


FAMILIES = {family.block: family for family in (
    Family("Qwen3MoeSparseMoeBlock", "qwen3moe"),
    Family("MixtralSparseMoeBlock", "llama", width_key="feed_forward_length"),
    Family("Qwen2MoeSparseMoeBlock", "qwen2moe", shared="shared_expert",
           shared_gate="shared_expert_gate", fixed={"norm_topk_prob": False}),
    Family("DeepseekV3MoE", "deepseek2", shared="shared_experts"),
    Family("GptOssMLP", "gpt-oss", norm="post_attention_norm", router="router", transposed=True,
           returns_scores=True, fixed={"swiglu_alpha": 1.702, "swiglu_limit": 7.0}),
    Family("OlmoeSparseMoeBlock", "olmoe", width_key="feed_forward_length",
           fixed={"norm_topk_prob": False}),
)}


@dataclass(frozen=True)
class Block:
    """An MoE block where it stands in a model."""

    layer: int
    parent: nn.Module  # the decoder layer
    name: str  # of the block in it
    module: nn.Module
    family: Family

    @property
    def router(self) -> Any:
        return getattr(self.module, self.family.router)

    @property
    def experts(self) -> Any:
        return self.module.experts

    def part(self, name: str | None) -> Any:
        """An attribute of the block that not every family has; None then."""
        return getattr(self.module, name) if name is not None else None


def blocks_of(model: nn.Module) -> Iterator[Block]:
    """Every MoE block that FAMILIES knows, by layer. ValueError if there is none."""
    found = False
    for path, module in model.named_modules():
        family = FAMILIES.get(type(module).__name__)
        if family is None:
            continue
        parent, _, name = path.rpartition(".")
        numbers = [part for part in parent.split(".") if part.isdigit()]
        if not numbers:
            raise ValueError(f"{path or 'the model'}: an MoE block outside of a numbered layer")
        found = True
        yield Block(int(numbers[-1]), model.get_submodule(parent), name, module, family)
    if not found and any(type(module).__name__ == "RemoteBlock" for module in model.modules()):
        raise ValueError(f"the MoE blocks of {type(model).__name__} are attached already: their "
                         "weights are gone, load the model anew to attach it elsewhere")
    if not found:
        raise ValueError(f"{type(model).__name__} has no MoE block that is known here: "
                         f"{', '.join(FAMILIES)}")
