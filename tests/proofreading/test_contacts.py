"""Contacts of edited supervoxels are those that the voxels have, as a graph made of all of them anew would say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.proofreading import contacts
from napari_pytc.proofreading.document import LabelDocument
from tests.support.random_edits import random_edit
from tests.support.segmentations import make_segmentation

SHAPE = (6, 36, 36)


def as_rows(graph: RegionGraph, among: np.ndarray) -> dict[tuple[int, int], tuple[float, float]]:
    """Contacts among some supervoxels: score and faces by the ids of both."""
    rows = zip(np.asarray(graph.edges).tolist(), graph.scores, graph.contacts, strict=True)
    return {
        (a, b): (round(float(score), 4), float(faces)) for (a, b), score, faces in rows if {a, b} <= set(among.tolist())
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_contacts_after_random_edits(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "_MOST_KNOWN", 3)  # so that some are forgotten on the way
    made = make_segmentation(tmp_path / "first", SHAPE, n_cells=10, seed=seed)
    document = LabelDocument(made.segmentation, made.boundary)
    rng = np.random.default_rng(seed)
    done = []
    whole = Box.of_shape(SHAPE)
    while len(done) < 25:
        edit = random_edit(document, rng)
        if edit.target != "segments" or edit.kind == "import_labels":
            continue
        try:
            done.append(edit.plan(document))
        except InvalidEdit:
            continue
        document.apply(done[-1])
        if len(done) % 5 == 0:
            document.apply(done[-1].inverse())
            touched = document.touched
            anew = contact_edges(document.supervoxels(whole), 1 - document.boundary(whole))
            everything = np.arange(1, document.next_id, dtype=np.uint32)
            found, expected = (as_rows(g, everything) for g in (document.edges_within(everything), anew))
            assert {k: v for k, v in found.items() if set(k) & set(touched.tolist())} == {
                k: v for k, v in expected.items() if set(k) & set(touched.tolist())
            }
            some = rng.choice(everything, len(everything) // 2, replace=False)
            assert as_rows(document.edges_within(some), everything) == {
                k: v for k, v in found.items() if set(k) <= set(some.tolist())
            }
