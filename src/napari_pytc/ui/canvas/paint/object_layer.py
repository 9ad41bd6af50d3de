"""The layer of object labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.segment_colours import N_COLOURS
from napari_pytc.session.objects import MarkedObjects
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.paint.painting import Painting
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.tasks.background import Background

BRUSH_SIZE = 5
"""Diameter in voxels."""
NEW_KEY, BACKGROUND_KEY, ERASER_KEY = "M", "B", "0"
"""Keys on this layer; the first is napari's own key for a new label, which works for arrays in memory alone."""
BACKGROUND_COLOUR = "#808080"
_HELP = "M: a new object, B: background, 0: erase, Ctrl+Z: undo, [ and ]: size of the brush, Space and drag: move"


class ObjectLayer(QObject):
    """Shows the object labels of a session, and saves the painted ones.

    `restore` makes the layer, once something is marked or is to be. All methods belong to the Qt thread.

    Parameters
    ----------
    below : callable
        Gives the layer below which it lies.
    bind_keys : callable
        Binds the keys that all layers of a project have.
    """

    saved = Signal()
    """Objects are on the disk, or were changed there by others."""
    failed = Signal(object)
    """A `PytcError`."""
    chosen = Signal()
    """Something else is in the brush, or other ids are in use; see `label` and `marked`."""

    _changed_on_disk = Signal(object)

    def __init__(
        self,
        viewer: ViewerPort,
        session: Session,
        background: Background,
        below: Callable[[], Any],
        bind_keys: Callable[[Any], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._background = viewer, session, background
        self._below, self._bind_keys = below, bind_keys
        self._is_open, self._is_wanted, self._is_chosen = True, False, False
        self._label = 0
        self._highest = 0  # of the ids that are in use, or were taken into the brush
        self.marked = MarkedObjects(0, 0, 0, 0)
        """Numbers of marked objects and voxels, as of the last count."""
        self.layer: Any = None
        self.painting = Painting(
            viewer,
            session.objects.store,
            session.held_out,
            background,
            lambda: self.layer,
            "objects",
            np.uint32,
            self,
        )
        self.painting.saved.connect(self._on_saved)
        self.painting.failed.connect(self.failed)
        session.objects.changed.connect(self._relay_changed)
        self._changed_on_disk.connect(self._on_changed_on_disk)

    # ---- the layer

    @property
    def label(self) -> int:
        """Label in the brush: an id, 0 for the eraser, `BACKGROUND`."""
        return self._label

    @property
    def is_chosen(self) -> bool:
        """Whether anything was taken into the brush yet."""
        return self._is_chosen

    @property
    def is_shown(self) -> bool:
        """Whether there is a layer to paint into."""
        return self._viewer.has(self.layer)

    def restore(self) -> None:
        """Make the layer, or put it back, where something is marked."""
        self._is_wanted = self._is_wanted or self._session.objects.store.exists
        if self.is_shown or not self._is_wanted:
            return
        style = LayerStyle("Objects", "objects", BACKGROUND_COLOUR, opacity=0.6, by_id=True)
        self.layer = self._viewer.add_labels(self.painting.array, self._session.image.space, style)
        self._viewer.put_below(self.layer, self._below())
        can_paint = not self._session.project.read_only
        self._viewer.make_paintable(self.layer, can_paint, BRUSH_SIZE)
        self._bind_keys(self.layer)
        if can_paint:
            self.painting.start_saving(self._session.objects.writer)
            self._viewer.on_label_chosen(self.layer, self._on_label_chosen)
            self.painting.follow_mouse()
            keys = {NEW_KEY: self.new_object, BACKGROUND_KEY: self.choose_background, ERASER_KEY: self.choose_eraser}
            self._viewer.bind_keys(self.layer, keys)
            self._viewer.set_help(self.layer, _HELP)
        self.count()

    def new_object(self) -> None:
        """Take an id into the brush that no object has."""
        self.choose(next_id(self._highest))

    def choose_background(self) -> None:
        """Paint where no object is."""
        self.choose(BACKGROUND)

    def choose_eraser(self) -> None:
        """Choose the eraser, to remove marks."""
        self.choose(0)

    def choose(self, label: int) -> None:
        """Take an id into the brush, and select the layer."""
        if not self._is_open or self._session.project.read_only:
            return
        self._is_wanted = True
        self.restore()
        self._viewer.set_visible(self.layer, True)
        self._viewer.put_below(self.layer, self._below())  # a prediction or segments may have come between
        self._viewer.select(self.layer)
        self._viewer.choose_label(self.layer, label)
        self._on_label_chosen()

    def count(self) -> None:
        """Count the marked objects and voxels; `chosen` is emitted once the numbers are known."""
        self._background.run(self._session.objects.counts, self._show_counts, lambda error: None, receiver=self)

    # ---- saving

    def show_changed(self, patches: Sequence[LabelPatch]) -> None:
        """Objects that an undo or a redo changed on the disk; shown as soon as the helper thread has taken them in."""
        self.painting.take_in(patches, self._show_again)

    def close(self) -> None:
        """Save, and stop following the session; the layer stays."""
        self._is_open = False
        self._session.objects.changed.disconnect(self._relay_changed)
        self.painting.close()

    # ---- private

    def _on_label_chosen(self) -> None:
        found = self._viewer.chosen_label(self.layer)
        if found != BACKGROUND:
            self._highest = max(self._highest, found)
        if found != self._label or not self._is_chosen:
            self._label, self._is_chosen = found, True
            self.chosen.emit()

    def _on_saved(self) -> None:
        self.count()
        self.saved.emit()

    def _show_counts(self, marked: MarkedObjects) -> None:
        self.marked = marked
        self._highest = max(self._highest, marked.highest)
        self.chosen.emit()

    def _relay_changed(self, box: Box) -> None:
        """Called in any thread."""
        self._changed_on_disk.emit(box)

    def _on_changed_on_disk(self, box: Box) -> None:
        """Others wrote objects: an import, or an undo."""
        if self._is_open:
            self._background.run(
                lambda: self.painting.array.forget(box), lambda nothing: self._show_again(), receiver=self
            )

    def _show_again(self) -> None:
        if self._is_open:
            self.restore()
            self._viewer.refresh(self.layer)
            self._on_saved()


def next_id(highest: int) -> int:
    """The id of a new object; those that would have the colour of the background are passed over."""
    return highest + (2 if (highest + 1) % N_COLOURS == 0 else 1)
