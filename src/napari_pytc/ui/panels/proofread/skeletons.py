"""Skeletons of the selected segments on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.geometry import Box, Shape
from napari_pytc.ui.canvas.viewer.box_layer import line_width
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.proofread.editor import EditedProject, SegmentEditor
from napari_pytc.ui.tasks.background import Background

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.skeletons.skeleton import Skeleton

MOST_VOXELS = 2**23
"""Segments whose boxes have more together are not skeletonised in the window: other work waits for it."""
COLOURS = ("#ffffff", "#ffea00", "#00e5ff", "#ff4df0", "#aeea00", "#ff9100")
"""Colours of the skeletons in the order of the selection: those of the segments would not be seen on them."""


class SkeletonProject(EditedProject, Protocol):
    """The project whose segments get skeletons; a `Workspace` is one."""

    background: Background


class SkeletonLayer(QObject):
    """A layer of the skeletons of the selected segments; it follows selection and edits while it is switched on.

    Skeletons are made in the helper thread. Of several selections only the last one is shown: each has a number, and
    the work on another is given up.

    Parameters
    ----------
    project : SkeletonProject
        The project of the segments.
    editor : SegmentEditor
        Holds the selection, and shows what was found.
    """

    changed = Signal()
    """It was switched on or off."""

    def __init__(self, project: SkeletonProject, editor: SegmentEditor) -> None:
        super().__init__(editor)
        self._project, self._editor = project, editor
        self.is_on = False
        self.layer: Any = None
        self._number = 0
        editor.selection_changed.connect(self._find)
        project.segments.document_changed.connect(self._give_up)

    def toggle(self) -> None:
        """Switch the layer on or off."""
        self.is_on = not self.is_on
        self._find()
        self.changed.emit()

    # ---- private

    def _find(self) -> None:
        """Make the skeletons of what is selected."""
        self._number += 1
        number, document = self._number, self._editor.document
        chosen = [(one.segment, one.box) for one in self._editor.selected if not one.state.deleted]
        if not self.is_on or document is None or not chosen:
            self._close()
            return
        large = [segment for segment, box in chosen if box.size > MOST_VOXELS]
        if large or sum(box.size for _, box in chosen) > MOST_VOXELS:
            self._close()
            which = f"Segment {large[0]} lies in a box" if large else f"The {len(chosen)} segments lie in boxes"
            together = "" if large else " together"
            self._editor.show_message(
                f"{which} of more than {MOST_VOXELS // 10**6} million voxels{together}, which takes too long for a "
                "skeleton in the window.",
                "Export it: “Skeletons” in the Export panel.",
                refused=True,
            )
            return

        def work() -> list[Skeleton]:
            return _skeletons(document, chosen, lambda: number == self._number)

        def show(found: list[Skeleton]) -> None:
            if number == self._number and self._editor.document is document:
                self._show(document, found)

        self._project.background.run(work, show, self._editor.show_error, receiver=self)

    def _show(self, document: LabelDocument, skeletons: Sequence[Skeleton]) -> None:
        viewer, space = self._project.viewer, document.space
        if not viewer.has(self.layer):
            # Without a test of depth, or the surface of the segments would hide the lines in 3D.
            style = LayerStyle("Skeletons", "skeletons", COLOURS[0], blending="translucent_no_depth")
            self.layer = viewer.add_lines(space, style, line_width(document.shape))
        lines = [
            (one.nodes_nm[one.edges] - np.asarray(space.origin_nm)) / np.asarray(space.voxel_size_nm)
            for one in skeletons
        ]
        colours = [COLOURS[k % len(COLOURS)] for k, part in enumerate(lines) for _ in part]
        viewer.show_lines(self.layer, np.concatenate([np.zeros((0, 2, 3)), *lines]), colours)
        self._editor.show_message(_described(skeletons, space.known))

    def _give_up(self) -> None:
        self._number += 1
        self._close()

    def _close(self) -> None:
        self._project.viewer.remove(self.layer)
        self.layer = None


class _DocumentLabels:
    """A document as a volume of labels."""

    def __init__(self, document: LabelDocument) -> None:
        self._document = document
        self.shape: Shape = document.shape

    def read(self, box: Box) -> np.ndarray:
        """Segments of a box."""
        return self._document.segments(box)


def _skeletons(
    document: LabelDocument, chosen: Sequence[tuple[int, Box]], is_wanted: Callable[[], bool]
) -> list[Skeleton]:
    """Skeletons of segments in their boxes, as long as they are wanted; called in the helper thread."""
    from napari_pytc.skeletons.teasar import segment_mask, skeletonise

    labels = _DocumentLabels(document)
    found: list[Skeleton] = []
    for segment, box in chosen:
        if not is_wanted():
            break
        found.append(skeletonise(segment_mask(labels, segment, box), segment, document.space, box.start))
    return found


def _described(skeletons: Sequence[Skeleton], is_known: bool) -> str:
    """The measures of skeletons together, in a sentence."""
    length = sum(one.length_nm for one in skeletons)
    n_branch, n_end = (sum(getattr(one, name) for one in skeletons) for name in ("n_branch_points", "n_end_points"))
    what = f"Skeleton of {skeletons[0].segment}" if len(skeletons) == 1 else f"{len(skeletons)} skeletons"
    path = f"{length / 1000:.3g} µm" if is_known else f"{length:.3g} voxels"
    return f"{what}: {path} of path, {n_branch} branch points, {n_end} end points. In sections only what lies in them."
