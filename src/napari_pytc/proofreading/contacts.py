"""Contacts of supervoxels that edits touched, found in the voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import RegionGraph, contact_edges

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


def edges_around(document: LabelDocument, stored: RegionGraph, chosen: np.ndarray, touched: np.ndarray) -> RegionGraph:
    """The stored contacts, and those of the touched supervoxels among all that are chosen.

    Each touched supervoxel is looked at in its own box, so that the cost follows what edits touched, not the box around
    all of it.

    Parameters
    ----------
    chosen, touched : ndarray of uint32
        Sorted; the touched ones are among the chosen.
    """
    graphs = [stored]
    for supervoxel in touched.tolist():
        box = document.box_of(np.array([supervoxel], np.uint32))
        if box.is_empty:
            continue
        box = box.grow((1, 1, 1)).intersect(Box.of_shape(document.shape))
        labels = document.supervoxels(box)
        labels[~np.isin(labels, chosen)] = 0
        found = contact_edges(labels, 1 - document.boundary(box), box.start)
        other = np.where(found.edges[:, 0] == supervoxel, found.edges[:, 1], found.edges[:, 0])
        # A contact of two touched ones is in the boxes of both and counts in that of the smaller id.
        mine = (found.edges == supervoxel).any(axis=1) & (~np.isin(other, touched) | (other > supervoxel))
        graphs.append(RegionGraph(found.edges[mine], found.scores[mine], found.contacts[mine], found.places[mine]))
    edges, scores, contacts, places = (
        np.concatenate([getattr(graph, name) for graph in graphs]) for name in ("edges", "scores", "contacts", "places")
    )
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    return RegionGraph(edges[order], scores[order], contacts[order], places[order])
