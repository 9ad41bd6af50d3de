from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import SwitchSegmentation
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.segmentations import FolderDocuments, SegmentedTissue, make_project


@pytest.fixture
def made(tmp_path: Path) -> SegmentedTissue:
    """A project's folder with the segmentation ``first`` and a store of strokes."""
    return make_project(tmp_path)


@pytest.fixture
def document(made: SegmentedTissue) -> LabelDocument:
    return LabelDocument(made.segmentation, made.boundary)


@pytest.fixture
def journal(made: SegmentedTissue, tmp_path: Path) -> Iterator[Journal]:
    """A journal in which the segmentation ``first`` is current."""
    journal = Journal(tmp_path / "journal.sqlite", FolderDocuments(tmp_path, made.boundary))
    journal.apply(SwitchSegmentation(after="first"))
    yield journal
    journal.close()
