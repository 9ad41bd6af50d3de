"""The layer in which single objects are marked to learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.annotations.said import BACKGROUND
from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.session.objects import MarkedObjects
from napari_pytc.session.session import Session
from napari_pytc.ui.background import Background
from napari_pytc.ui.guard import HeldOutGuard
from napari_pytc.ui.paint import ScribbleArray
from napari_pytc.ui.port import Look, Pointer, ViewerPort
from napari_pytc.ui.segment_colours import N_COLOURS
from napari_pytc.ui.strokes import StrokeSaver

BRUSH_SIZE = 5
"""Diameter in voxels."""
NEW_KEY, BACKGROUND_KEY, ERASER_KEY = "M", "B", "0"
"""On this layer; the first is napari's own key for a new label, which it knows for arrays in memory alone."""
BACKGROUND_COLOUR = "#808080"
_HELP = "M: a new object, B: background, 0: erase, Ctrl+Z: undo, [ and ]: size of the brush, Space and drag: move"


class ObjectLayer(QObject):
    """Shows the objects of a session that are marked to learn from, and saves what is painted.

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
        """How much is marked, as of the last count."""
        self.layer: Any = None
        self._array = ScribbleArray(session.objects, self._on_painted, dtype=np.uint32)
        HeldOutGuard(viewer, session, self._array, lambda: self.layer, self.failed.emit, self)
        self._saver: StrokeSaver | None = None
        session.objects_changed.connect(self._tell_changed)
        self._changed_on_disk.connect(self._on_changed_on_disk)

    # ---- the layer

    @property
    def label(self) -> int:
        """What is in the brush: an id, 0 for the eraser, `BACKGROUND`."""
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
        self._is_wanted = self._is_wanted or self._session.objects.exists
        if self.is_shown or not self._is_wanted:
            return
        look = Look("Objects", "objects", BACKGROUND_COLOUR, opacity=0.6, by_id=True)
        self.layer = self._viewer.add_labels(self._array, self._session.space, look)
        self._viewer.put_below(self.layer, self._below())
        can_paint = not self._session.read_only
        self._viewer.make_paintable(self.layer, can_paint, BRUSH_SIZE)
        self._bind_keys(self.layer)
        if can_paint:
            self._saver = self._saver or self._make_saver()
            self._viewer.on_label_chosen(self.layer, self._on_label_chosen)
            self._viewer.on_mouse(self.layer, self._on_mouse)
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
        """Take back what was marked."""
        self.choose(0)

    def choose(self, label: int) -> None:
        """Take an id into the brush, and select the layer."""
        if not self._is_open or self._session.read_only:
            return
        self._is_wanted = True
        self.restore()
        self._viewer.set_visible(self.layer, True)
        self._viewer.put_below(self.layer, self._below())  # a prediction or segments may have come between
        self._viewer.select(self.layer)
        self._viewer.choose_label(self.layer, label)
        self._on_label_chosen()

    def count(self) -> None:
        """Find out how much is marked; `chosen` tells when that is known."""
        self._background.run(self._session.marked_objects, self._show_counts, lambda error: None, receiver=self)

    # ---- saving

    def flush(self, then: Callable[[], object], otherwise: Callable[[PytcError], object] | None = None) -> None:
        """Call `then` once everything is on the disk, at once if nothing is on its way."""
        if self._saver is None:
            then()
        else:
            self._saver.flush(then, otherwise)

    def show_changed(self, patches: Sequence[LabelPatch]) -> None:
        """Objects that an undo or a redo changed on the disk; shown as soon as the helper thread has taken them in."""

        def take_in() -> None:
            for patch in patches:
                self._array.take_in(patch)

        self._background.run(take_in, lambda nothing: self._show_again(), self.failed.emit, receiver=self)

    def close(self) -> None:
        """Save, and stop following the session; the layer stays."""
        self._is_open = False
        self._session.objects_changed.disconnect(self._tell_changed)
        if self._saver is not None and not self._saver.close():
            self.failed.emit(
                VolumeError("The last objects could not be saved.", "Free space on the disk before painting again.")
            )

    # ---- what follows is ours

    def _make_saver(self) -> StrokeSaver:
        saver = StrokeSaver(self._array, self._session.object_writer(), self)
        saver.saved.connect(self._on_saved)
        saver.failed.connect(self.failed)
        return saver

    def _on_painted(self) -> None:
        if self._saver is not None:
            self._saver.touch()

    def _on_mouse(self, pointer: Pointer) -> None:
        """A stroke is what is painted from press to release."""
        if self._saver is not None and pointer.phase != "move":
            (self._saver.press if pointer.phase == "press" else self._saver.release)()

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

    def _tell_changed(self, box: Box) -> None:
        """Called in any thread."""
        self._changed_on_disk.emit(box)

    def _on_changed_on_disk(self, box: Box) -> None:
        """Others wrote objects: an import, or an undo."""
        if self._is_open:
            self._background.run(lambda: self._array.forget(box), lambda nothing: self._show_again(), receiver=self)

    def _show_again(self) -> None:
        if self._is_open:
            self.restore()
            self._viewer.refresh(self.layer)
            self._on_saved()


def next_id(highest: int) -> int:
    """The id of a new object; those that would have the colour of the background are passed over."""
    return highest + (2 if (highest + 1) % N_COLOURS == 0 else 1)
