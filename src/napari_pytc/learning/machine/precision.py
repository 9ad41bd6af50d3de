"""Number format and memory layout in which a network computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

NumberFormat = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True)
class Precision:
    """Number format of the layers that allow it, and how tensors lie in memory."""

    number_format: NumberFormat = "float32"
    channels_last: bool = False

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor (b, c, ...) laid out in this memory format."""
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        wanted = formats.get(tensor.dim()) if self.channels_last else None
        return tensor.contiguous(memory_format=wanted or torch.contiguous_format)

    def place_network(self, network: N) -> N:
        """The same network with its weights laid out in this memory format."""
        for weights in network.parameters():
            weights.data = self.place(weights.data)
        return network

    def __str__(self) -> str:
        return f"{self.number_format}{', channels last' if self.channels_last else ''}"


def autocast_for(device: torch.device | str, precision: Precision) -> torch.autocast:
    """The context in which a network computes in this precision."""
    kind = torch.device(device).type
    dtype = _DTYPES.get(precision.number_format)
    return torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
