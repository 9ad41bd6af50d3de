"""Weights on disk: safetensors only, so that opening a model never runs code."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_pytc.errors import ModelError
from napari_pytc.files import atomic_write

_PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".tar"})
_CHECKSUM = "crc32"
_PREFIX = "Error while serializing: I/O error: "


@dataclass(frozen=True)
class MatchReport:
    """Tensors of a network that were taken from another model, and those that were not."""

    loaded: tuple[str, ...]
    reinitialised: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} of {len(self.loaded) + len(self.reinitialised)} tensors taken over"
        if self.reinitialised:
            named = ", ".join(self.reinitialised[:4]) + (", ..." if len(self.reinitialised) > 4 else "")
            text += f"; learnt anew: {named}"
        return text + "."


def save_weights(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write tensors to a safetensors file, in one step, with a checksum.

    Parameters
    ----------
    path : Path
        The file to write or replace.
    tensors : mapping of str to Tensor
        For example a state dict; copied to the CPU first, so sharing memory is no matter.
    notes : mapping of str to str, optional
        Text kept in the file's header.

    Raises
    ------
    ModelError
        If the disk refuses.
    """
    copies = {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    header = {**(notes or {}), _CHECKSUM: _checksum(copies)}
    try:
        with atomic_write(path) as aside:
            save_file(copies, aside, metadata=header)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).split(" at path")[0].removeprefix(_PREFIX)
        raise ModelError(
            f"The weights could not be written to {path}: {reason}.",
            "Free space on the disk or check its permissions, then train again: it goes on from the last checkpoint.",
        ) from error


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file into memory.

    Raises
    ------
    ModelError
        If there is no such file, it is of another kind (a pickle is never opened), or it is damaged.
    """
    return load_weights_and_notes(path)[0]


def load_weights_and_notes(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As `load_weights`, with the text of the header."""
    _refuse_other_kinds(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            notes = dict(file.metadata() or {})
            # Copied out of the memory map, so that the file can be replaced (on Windows too) while a model is in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if _CHECKSUM in notes and notes.pop(_CHECKSUM) != _checksum(tensors):
        raise _damaged(path, "its checksum does not fit its content")
    return tensors, notes


def load_exactly(network: nn.Module, tensors: Mapping[str, Tensor], where: str = "The model") -> None:
    """Load weights that must fit the network tensor by tensor."""
    own = network.state_dict()
    wrong = [n for n in own if n not in tensors or own[n].shape != tensors[n].shape] + [
        n for n in tensors if n not in own
    ]
    if wrong:
        raise ModelError(
            f"{where} does not fit the network its plan describes: {len(wrong)} tensors differ, first {wrong[0]!r}.",
            "Its plan.json and weights.safetensors must come from the same training.",
        )
    network.load_state_dict(dict(tensors))


def load_matching(network: nn.Module, tensors: Mapping[str, Tensor]) -> MatchReport:
    """Take over every tensor whose name and shape fit, as fine-tuning does; the others stay as initialised.

    Raises
    ------
    ModelError
        If no parameter fits: then this is no fine-tuning.
    """
    own = network.state_dict()
    fitting = {n: t for n, t in tensors.items() if n in own and own[n].shape == t.shape}
    parameters = {name for name, _ in network.named_parameters()}
    if not parameters & fitting.keys():
        raise ModelError(
            "None of the parent model's weights fits the network to be trained.",
            "Fine-tune with the parent's own recipe, or train from scratch.",
        )
    network.load_state_dict({**own, **fitting})
    return MatchReport(
        loaded=tuple(n for n in own if n in fitting),
        reinitialised=tuple(n for n in own if n not in fitting),
        unused=tuple(n for n in tensors if n not in fitting),
    )


def _refuse_other_kinds(path: Path) -> None:
    """Refuse a file whose first bytes are not those of safetensors: header length, then a JSON object."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
        n_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise ModelError(f"There is no weights file {path}.", "Copy the whole model folder again.") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if start.startswith(b"PK\x03\x04") or _is_pickle(start) or (not _is_header(start) and _named_like_pickle(path)):
        raise ModelError(
            f"{path} is a Python pickle, which could run any code when opened; only safetensors are read.",
            "Open it where you trust it, with torch.load, and write its state dict with safetensors.torch.save_file.",
        )
    if not _is_header(start):
        raise _damaged(path, "it does not begin as a safetensors file")
    if 8 + int.from_bytes(start[:8], "little") > n_bytes:
        raise _damaged(path, "it ends within its header")


def _is_header(start: bytes) -> bool:
    return len(start) == 9 and start[8:9] == b"{"


def _is_pickle(start: bytes) -> bool:
    # A header length may begin with the same two bytes as a pickle of protocol 2 to 5; the brace distinguishes them.
    return len(start) == 9 and start[0] == 0x80 and 2 <= start[1] <= 5 and not _is_header(start)


def _named_like_pickle(path: Path) -> bool:
    return path.suffix.lower() in _PICKLE_SUFFIXES


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is damaged or no safetensors file: {why}.", "Copy it again, or train a new model.")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        total = zlib.crc32(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode(), total)
        total = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
