"""Tensors of checkpoints that are read without running anything in them."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_pytc.pytc.stored_checkpoint import StoredCheckpoint
from napari_pytc.pytc.stored_values import StoredTensor


def dtype_of(tensor: StoredTensor) -> torch.dtype:
    """The type of its numbers."""
    found = getattr(torch, tensor.dtype.name)
    assert isinstance(found, torch.dtype)
    return found


def read_tensor(stored: StoredCheckpoint, tensor: StoredTensor) -> Tensor:
    """A tensor's numbers.

    Raises
    ------
    ModelError
        If they are not all there.
    """
    data, dtype = stored.read(tensor), dtype_of(tensor)
    if not data:
        return torch.zeros(tensor.shape, dtype=dtype)
    try:
        return torch.frombuffer(data, dtype=dtype).as_strided(tensor.shape, tensor.stride, tensor.offset).clone()
    except (RuntimeError, OverflowError) as error:
        raise stored.damaged("a tensor has an impossible shape") from error
