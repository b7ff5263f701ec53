"""A block whose experts are elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..answers import Routing
from ..arrays import Array
from ..calls import ForwardOptions
from ..client import Client


def _to_numpy(tensor: torch.Tensor) -> Array:
    """numpy has no bfloat16: its bits as uint16."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    return tensor.numpy()


def _to_torch(values: Array, like: torch.Tensor) -> torch.Tensor:
    tensor = torch.from_numpy(values)
    if like.dtype == torch.bfloat16:
        tensor = tensor.view(torch.bfloat16)
    return tensor.to(like.device)


class RemoteBlock(nn.Module):
    """Stands where an MoE block stood. Keeps its router only if that is to choose the experts."""

    def __init__(self, client: Client, layer: int, most_rows: int, router: nn.Module | None,
                 returns_scores: bool) -> None:
        super().__init__()
        self.client = client
        self.layer = layer
        self.most_rows = most_rows  # of one request
        self.router = router
        self.returns_scores = returns_scores

    def extra_repr(self) -> str:
        return f"layer={self.layer}, experts elsewhere"

    def _ask(self, rows: torch.Tensor) -> torch.Tensor:
        options: ForwardOptions = {}
        if self.router is not None:
            _, weights, ids = self.router(rows)
            options["routing"] = Routing(_to_numpy(ids.to(torch.int32)),
                                         _to_numpy(weights.to(torch.float32)))
        return _to_torch(self.client.forward(_to_numpy(rows), self.layer, **options).output, rows)

    @torch.compiler.disable
    def forward(self, hidden_states: torch.Tensor) -> Any:
        if torch.is_grad_enabled() and hidden_states.requires_grad:
            raise RuntimeError("moed computes no gradients: run the model under torch.no_grad() or "
                               "torch.inference_mode()")
        rows = hidden_states.reshape(-1, hidden_states.shape[-1])
        parts = [self._ask(part) for part in rows.split(self.most_rows)]
        output = torch.cat(parts).reshape(hidden_states.shape)
        return (output, None) if self.returns_scores else output
