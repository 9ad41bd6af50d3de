"""Answers to the dialog of imported labels, which waits for the user in the real window."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.ui.panels.data import project_page
from napari_pytc.ui.panels.data.inspect_labels import LabelImport


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the dialog was asked; it answers as it stands, with what is in ``answer`` changed, or None to cancel."""
    found: dict[str, Any] = {"answer": LabelImport()}

    def ask(
        file: Any, shape: Any, space: Any, classes: Any, is_dense: bool, parent: Any, inspect: Any
    ) -> LabelImport | None:
        found.update(file=file, shape=shape, space=space, classes=classes, is_dense=is_dense, inspect=inspect)
        answer = found["answer"]
        if answer is None:
            return None
        transform: LabelTransform = answer.transform.model_copy(update={"dense": is_dense})
        return dataclasses.replace(answer, transform=transform)

    monkeypatch.setattr(project_page, "ask_how_to_import", ask)
    return found
