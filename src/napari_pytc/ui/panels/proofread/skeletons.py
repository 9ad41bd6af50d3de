"""Skeletons of the selected segments on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.canvas.viewer.box_layer import line_width
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.proofread.editor import EditedProject, SegmentEditor
from napari_pytc.ui.panels.proofread.skeleton_process import SegmentMask, SkeletonProcess
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.tasks.timers import single_shot

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.skeletons.skeleton import Skeleton

MOST_VOXELS = 2**25
"""Segments whose boxes have more together are not skeletonised in the window, for the memory that it takes."""
COLOURS = ("#ffffff", "#ffea00", "#00e5ff", "#ff4df0", "#aeea00", "#ff9100")
"""Colours of the skeletons in the order of the selection: those of the segments would not be seen on them."""
REACH_NM, REACH_VOXELS = 150.0, 4.0
"""How far before and behind a section skeletons are seen in it; the latter where the voxel size is not known."""
_REST_MS = 30
"""While sections fly past, lines are drawn when the scrolling rests."""


class SkeletonProject(EditedProject, Protocol):
    """The project whose segments get skeletons; a `Workspace` is one."""

    background: Background


class SkeletonLayer(QObject):
    """A layer of the skeletons of the selected segments; it follows selection and edits while it is switched on.

    The voxels of segments are read in the helper thread, skeletons are made in a process of their own. Of several
    selections only the last one is shown: each has a number, and the work on another is given up at once.

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
        self._lines, self._colours = np.zeros((0, 2, 3)), list[str]()
        self._process = SkeletonProcess(self)
        self._timer = single_shot(self, _REST_MS, self._draw)
        self._unfollow: Callable[[], None] | None = None
        editor.selection_changed.connect(self._find)
        project.segments.document_changed.connect(self._give_up)

    @property
    def is_busy(self) -> bool:
        """Whether skeletons are being made."""
        return self._process.is_busy

    def toggle(self) -> None:
        """Switch the layer on or off."""
        self.is_on = not self.is_on
        if not self.is_on:
            self._process.stop()
        self._find()
        self.changed.emit()

    # ---- private

    def _find(self) -> None:
        """Make the skeletons of what is selected."""
        self._number += 1
        number, document = self._number, self._editor.document
        if self._process.is_busy:
            self._process.stop()
        chosen = [(one.segment, one.box) for one in self._editor.selected if not one.state.deleted]
        if not self.is_on or document is None or not chosen:
            self._close()
            return
        if reason := _too_large(chosen):
            self._close()
            self._editor.show_message(reason, "Export it: “Skeletons” in the Export panel.", refused=True)
            return
        self._process.warm_up()

        def work() -> list[SegmentMask] | None:
            return read_masks(document, chosen, lambda: number == self._number)

        def make(masks: list[SegmentMask] | None) -> None:
            if masks is None or number != self._number:
                return
            which = f"segment {chosen[0][0]}" if len(chosen) == 1 else f"{len(chosen)} segments"
            self._editor.show_message(f"Making the skeleton of {which} …", "“Hide skeleton” gives it up.")
            self._process.run(masks, document.space, show, self._show_error)

        def show(found: list[Skeleton]) -> None:
            if number == self._number and self._editor.document is document:
                self._show(document, found)

        self._project.background.run(work, make, self._editor.show_error, receiver=self)

    def _show(self, document: LabelDocument, skeletons: Sequence[Skeleton]) -> None:
        viewer, space = self._project.viewer, document.space
        if not viewer.has(self.layer):
            # Without a test of depth, or the surface of the segments would hide the lines in 3D.
            style = LayerStyle("Skeletons", "skeletons", COLOURS[0], blending="translucent_no_depth")
            self.layer = viewer.add_lines(space, style, line_width(document.shape))
        if self._unfollow is None:
            self._unfollow = viewer.on_view_changed(self._timer.start)
        lines = [
            (one.nodes_nm[one.edges] - np.asarray(space.origin_nm)) / np.asarray(space.voxel_size_nm)
            for one in skeletons
        ]
        self._lines = np.concatenate([np.zeros((0, 2, 3)), *lines])
        self._colours = [COLOURS[k % len(COLOURS)] for k, part in enumerate(lines) for _ in part]
        self._draw()
        self._editor.show_message(_described(skeletons, space))

    def _draw(self) -> None:
        """Show the lines in the section that is shown now."""
        document = self._editor.document
        if document is not None:
            self._project.viewer.show_lines(self.layer, self._lines, self._colours, reach_nm(document.space))

    def _show_error(self, error: PytcError) -> None:
        self._close()
        self._editor.show_error(error)

    def _give_up(self) -> None:
        self._number += 1
        self._process.stop()
        self._close()

    def _close(self) -> None:
        self._timer.stop()
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None
        self._project.viewer.remove(self.layer)
        self.layer = None


def reach_nm(space: VoxelSpace) -> float:
    """How far before and behind a section skeletons are seen in it."""
    return REACH_NM if space.known else REACH_VOXELS


def _too_large(chosen: Sequence[tuple[int, Box]]) -> str:
    """Reason why segments get no skeleton in the window; empty where they do."""
    large = [segment for segment, box in chosen if box.size > MOST_VOXELS]
    if not large and sum(box.size for _, box in chosen) <= MOST_VOXELS:
        return ""
    which = f"Segment {large[0]} lies in a box" if large else f"The {len(chosen)} segments lie in boxes"
    together = "" if large else " together"
    return (
        f"{which} of more than {MOST_VOXELS // 10**6} million voxels{together}, which is too much for a skeleton in "
        "the window."
    )


class _GivenUp(Exception):
    """Nobody waits for it any more."""


class _DocumentLabels:
    """A document as a volume of labels, which is read as long as it is wanted."""

    def __init__(self, document: LabelDocument, is_wanted: Callable[[], bool]) -> None:
        self._document, self._is_wanted = document, is_wanted
        self.shape: Shape = document.shape

    def read(self, box: Box) -> np.ndarray:
        """Segments of a box."""
        if not self._is_wanted():
            raise _GivenUp
        return self._document.segments(box)


def read_masks(
    document: LabelDocument, chosen: Sequence[tuple[int, Box]], is_wanted: Callable[[], bool]
) -> list[SegmentMask] | None:
    """The voxels of segments in their boxes; None once they are not wanted; called in the helper thread."""
    from napari_pytc.skeletons.teasar import segment_mask

    labels = _DocumentLabels(document, is_wanted)
    try:
        return [SegmentMask(segment, segment_mask(labels, segment, box), box.start) for segment, box in chosen]
    except _GivenUp:
        return None


def _described(skeletons: Sequence[Skeleton], space: VoxelSpace) -> str:
    """The measures of skeletons together, in a sentence."""
    length = sum(one.length_nm for one in skeletons)
    n_branch, n_end = (sum(getattr(one, name) for one in skeletons) for name in ("n_branch_points", "n_end_points"))
    what = f"Skeleton of {skeletons[0].segment}" if len(skeletons) == 1 else f"{len(skeletons)} skeletons"
    path = f"{length / 1000:.3g} µm" if space.known else f"{length:.3g} voxels"
    near = f"{REACH_NM:g} nm" if space.known else f"{REACH_VOXELS:g} voxels"
    return (
        f"{what}: {path} of path, {n_branch} branch points, {n_end} end points. In a section also what lies at most "
        f"{near} before or behind it, fainter."
    )
