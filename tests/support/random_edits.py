"""Edits of all kinds at random places, the same for the same seed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import EditModel, MarkObjects, Paint, Scribble, parse_edit
from napari_pytc.proofreading.edits.base import variants
from napari_pytc.proofreading.journal.journal import Journal


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder whose syncs cost nothing, where the system has one: for tests that make thousands of commits."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def random_box(rng: np.random.Generator, shape: tuple[int, int, int], most: int = 12) -> Box:
    start = [int(rng.integers(0, n)) for n in shape]
    stop = [min(n, a + int(rng.integers(1, most))) for a, n in zip(start, shape, strict=True)]
    return Box(tuple(start), tuple(stop))


def random_edit(document: LabelDocument, rng: np.random.Generator, labels: Path | None = None) -> EditModel:
    """An edit that may or may not be refused; `labels` is a file to import from."""
    segments = document.segment_ids().tolist()
    noted = document.noted_segments()
    some = [int(k) for k in rng.choice(segments, min(len(segments), 2), replace=False)] if segments else [1]
    box = random_box(rng, document.shape)
    mask = rng.random(box.shape) < rng.choice([0.2, 1.0])
    kinds = [*sorted(variants().keys() - {"switch"}), "merge", "paint", "split"]
    kind = str(rng.choice(kinds))
    values: dict[str, object] = {"kind": kind}
    if kind == "paint":
        return Paint.of(box, mask, int(rng.choice([0, *some])))
    if kind == "scribble":
        return Scribble.of(box, np.where(mask, rng.integers(0, 4), 0).astype(np.uint8))
    if kind == "mark_objects":
        return MarkObjects.of(box, np.where(mask, rng.choice([0, 1, 7, 2**32 - 1]), 0).astype(np.uint32))
    if kind == "merge":
        values["segments"] = some
    elif kind in ("delete", "lock", "set_class"):
        values["segments"] = some[:1]
        if kind == "set_class":
            values["class_id"] = int(rng.integers(0, 3))
    elif kind in ("unlock", "restore"):
        wanted = [k for k in noted if getattr(document.note(k), "locked" if kind == "unlock" else "deleted")]
        values["segments"] = [int(rng.choice(wanted))] if wanted else some[:1]
    elif kind == "split":
        places = np.argwhere(document.segments(Box.of_shape(document.shape)) == some[0])
        chosen = places[rng.integers(0, len(places), 2)].tolist() if len(places) else [[0, 0, 0]] * 2
        values["seeds"] = {"1": chosen[:1], "2": chosen[1:]}
    elif kind == "split_line":
        places = np.argwhere(document.segments(Box.of_shape(document.shape)) == some[0])
        z, y, x = places[rng.integers(0, len(places))].tolist() if len(places) else [0, 0, 0]
        values |= {"segment": some[0], "line": [[z, y, max(0, x - 6)], [z, y, min(x + 6, document.shape[2] - 1)]]}
    elif kind == "import_labels":
        values |= {"path": str(labels), "offset": box.start}
    elif kind == "new_segment":
        values |= {"box": str(box), "mask": Paint.of(box, mask, 0).mask}
    else:
        values["segment"] = some[0]
        if kind == "smooth":
            values["radius_um"] = 0.02
    return parse_edit(values)


def random_step(journal: Journal, rng: np.random.Generator, labels: Path | None = None) -> Change | None:
    """Make an edit that is not refused."""
    for _ in range(200):
        document = journal.document
        assert document is not None
        try:
            return journal.apply(random_edit(document, rng, labels))
        except InvalidEdit:
            continue
    raise AssertionError("every edit was refused")


def state_of(journal: Journal) -> tuple[str, str]:
    """The checksum of the segments, worked out anew and compared with the kept one, and that of all arrays."""
    document = journal.document
    content = hashlib.sha256()
    for store in (journal._documents.annotations, journal._documents.objects):
        if store is not None:
            content.update(store.read(Box.of_shape(store.shape)).tobytes())
    if document is None:
        return "", content.hexdigest()
    whole = Box.of_shape(document.shape)
    content.update(document.supervoxels(whole).tobytes())
    content.update(document.segments(whole).tobytes())
    checksum = document.checksum()
    assert checksum == document.present_checksum()
    return checksum, content.hexdigest()
