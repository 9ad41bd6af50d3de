"""The precision in which a machine is fastest: measured for about two seconds, then remembered.

Of a network that takes seconds a pass, few passes are made; see `napari_pytc.learning.machine.precision_trial`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import torch
from platformdirs import user_cache_path
from torch import Tensor

from napari_pytc.files import write_text_durably
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.memory import release_memory
from napari_pytc.learning.machine.precision import N, NumberFormat, Precision
from napari_pytc.learning.machine.precision_trial import call, measure
from napari_pytc.plans.plan import PrecisionName

_TRIAL = 3
"""Number of this way to measure: what another one chose is not remembered."""


def choose_precision(
    device: torch.device | str,
    build: Callable[[], N],
    example_shape: Sequence[int],
    *,
    training: bool,
    wanted: PrecisionName = "auto",
    network_key: str,
    cache_file: Path | None = None,
    seconds: float = 1.5,
    multiple: Sequence[int] | None = None,
    compute: Callable[[N, Tensor], Any] = call,
    ctx: JobContext | None = None,
) -> Precision:
    """The fastest precision whose results are finite, for a network on a device.

    Parameters
    ----------
    device : torch.device
        Device to compute on.
    build : callable
        Makes the network; its weights are thrown away, and random generators are left as they were.
    example_shape : sequence of int
        Shape of a typical input (b, c, z, y, x); on a CPU a cut of it is computed.
    training : bool
        Measure forward and backward in training mode instead of forward alone.
    wanted : str
        A number format to keep to; then only the memory format is measured.
    network_key : str
        Name of the network and its settings in the cache.
    cache_file : Path, optional
        File in which choices are kept; in the user's cache folder by default.
    seconds : float
        Seconds to measure, besides a first pass of each candidate.
    multiple : sequence of int, optional
        Lengths of the input are multiples of this, and more than one of it along the last axes.
    compute : callable, optional
        What of a network is measured; its forward pass by default.
    ctx : JobContext, optional
        Asked for a cancel before each pass that is measured, and warned where there was no time for every candidate.
        Such a choice is not remembered.
    """
    device = torch.device(device)
    remembered = _Memory(cache_file or user_cache_path("napari-pytc") / "arithmetic.json")
    mode = "training" if training else "inference"
    shape = "x".join(str(n) for n in example_shape)
    key = " | ".join(
        [machine(device), f"torch {torch.__version__}", f"trial {_TRIAL}", network_key, shape, mode, wanted]
    )
    found = remembered.get(key)
    if found is None:
        verdict = measure(
            device,
            build,
            example_shape,
            training=training,
            wanted=wanted,
            seconds=seconds,
            multiple=multiple,
            compute=compute,
            check=ctx.check if ctx is not None else lambda: None,
        )
        release_memory(device)
        found = verdict.precision
        if verdict.untried and ctx is not None:
            ctx.warn(_untried_note(verdict.untried))
        if found is None:  # not even one pass fits into memory: the fallback to less memory decides
            return Precision("float32" if wanted == "auto" else wanted)
        if not verdict.untried:
            remembered.put(key, found)
    return found


def _untried_note(untried: Sequence[Precision]) -> str:
    names = " and ".join(str(candidate) for candidate in untried)
    return (
        f"This network takes so long a pass that there was no time to try {names}, which may be faster: set precision "
        "where you know what suits this machine."
    )


class _Memory:
    """Choices in a JSON file; one that cannot be read or written only costs measuring again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Precision | None:
        entry = self._read().get(key)
        if not isinstance(entry, dict):
            return None
        number_format, last = entry.get("precision"), entry.get("channels_last")
        if number_format not in get_args(NumberFormat) or not isinstance(last, bool):
            return None
        return Precision(cast(NumberFormat, number_format), last)

    def put(self, key: str, precision: Precision) -> None:
        entry = {"precision": precision.number_format, "channels_last": precision.channels_last}
        text = json.dumps({**self._read(), key: entry}, indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text_durably(self._path, text)
        except OSError:
            return

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def machine(device: torch.device) -> str:
    """The processor and how much of it is used."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {_processor()} {torch.get_num_threads()} threads"


def _processor() -> str:
    """Name of the processor, and those of its instructions that decide what bf16 costs: a virtual one may hide them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    parts = [line.partition(":") for line in reversed(lines)]
    told = {key.strip(): value.strip() for key, _, value in parts}
    name = told.get("model name") or platform.processor() or platform.machine()
    return " ".join([name, *(flag for flag in told.get("flags", "").split() if "bf16" in flag)])
