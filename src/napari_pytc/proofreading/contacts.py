"""Contacts of supervoxels that edits touched, found in the voxels."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.region_graph import RegionGraph, contact_edges

_MOST_KNOWN = 4096
"""Most supervoxels whose contacts are kept, so that an edit need not look through them for long."""
_FIELDS = ("edges", "scores", "contacts", "places")


class SupervoxelReader(Protocol):
    """Present supervoxels and the boundary map, for finding contacts; a `LabelDocument` is one."""

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""

    def box_of(self, supervoxels: np.ndarray) -> Box:
        """A box around some supervoxels."""

    def supervoxels(self, box: Box) -> np.ndarray:
        """Supervoxels of a box, uint32."""

    def boundary(self, box: Box) -> np.ndarray:
        """Probability that each voxel of a box is a boundary, float32, 0 to 1."""


class EditedContacts:
    """Contacts of touched supervoxels, found in the box of each and kept until voxels there change again.

    The cost of a cut thus follows what the last edits touched, not all that edits ever touched.
    """

    def __init__(self, document: SupervoxelReader) -> None:
        self._document = document
        self._known: dict[int, tuple[tuple[int, ...], RegionGraph]] = {}

    def added_to(self, stored: RegionGraph, chosen: np.ndarray, touched: np.ndarray) -> RegionGraph:
        """The stored contacts, and those of the touched supervoxels among all that are chosen.

        Parameters
        ----------
        chosen, touched : ndarray of uint32
            Sorted; the touched ones are among the chosen.
        """
        graphs = [stored]
        for supervoxel in touched.tolist():
            found = self._of(supervoxel)
            other = np.where(found.edges[:, 0] == supervoxel, found.edges[:, 1], found.edges[:, 0])
            # A contact of two touched ones is in the boxes of both and counts in that of the smaller id.
            mine = np.isin(other, chosen) & (~np.isin(other, touched) | (other > supervoxel))
            graphs.append(RegionGraph(*(getattr(found, name)[mine] for name in _FIELDS)))
        edges, scores, contacts, places = (np.concatenate([getattr(g, name) for g in graphs]) for name in _FIELDS)
        order = np.lexsort((edges[:, 1], edges[:, 0]))
        return RegionGraph(edges[order], scores[order], contacts[order], places[order])

    def forget(self, patch: LabelPatch) -> None:
        """Look anew for the contacts of all whose surroundings a patch changes."""
        if not self._known:
            return
        ids = np.fromiter(self._known, np.int64, len(self._known))
        boxes = np.array([box for box, _ in self._known.values()])
        near = ((boxes[:, :3] < patch.box.stop) & (boxes[:, 3:] > patch.box.start)).all(axis=1)
        near |= np.isin(ids, patch.before) | np.isin(ids, patch.after)
        for supervoxel in ids[near].tolist():
            del self._known[supervoxel]

    def _of(self, supervoxel: int) -> RegionGraph:
        """All contacts of a supervoxel."""
        known = self._known.get(supervoxel)
        if known is not None:
            return known[1]
        document = self._document
        box = document.box_of(np.array([supervoxel], np.uint32))
        if box.is_empty:
            return RegionGraph.empty()
        box = box.grow((1, 1, 1)).intersect(Box.of_shape(document.shape))
        found = contact_edges(document.supervoxels(box), 1 - document.boundary(box), box.start)
        own = (found.edges == supervoxel).any(axis=1)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        graph = RegionGraph(*(getattr(found, name)[own] for name in _FIELDS))
        self._known[supervoxel] = ((*box.start, *box.stop), graph)
        return graph
