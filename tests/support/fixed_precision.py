"""Trainings and predictions of tests compute in the plain precision of their plan, which is not measured.

Which memory format is the fastest differs from machine to machine and with their load, and so would the last bits of
all results; and measuring takes a second for each network.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_MODULE = "napari_pytc.learning.machine.precision_choice"


def fix_precision() -> None:
    """Measure no precision from now on, also where the module that does it is imported later."""
    if _MODULE in sys.modules:
        _fix(sys.modules[_MODULE])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _fix(module: ModuleType) -> None:
    from napari_pytc.learning.machine.precision_trial import PrecisionVerdict

    if not hasattr(module, "really_measure"):
        module.really_measure = module.measure  # type: ignore[attr-defined]
        module.measure = lambda *_, wanted="auto", **__: PrecisionVerdict(  # type: ignore[attr-defined]
            module.Precision("float32" if wanted == "auto" else wanted)
        )


class _Finder(importlib.abc.MetaPathFinder):
    """Finds that module as Python does, and fixes it once it is there."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_fix(module: ModuleType) -> None:
            execute(module)
            _fix(module)

        spec.loader.exec_module = execute_and_fix  # type: ignore[method-assign]
        return spec
