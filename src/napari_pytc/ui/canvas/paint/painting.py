"""Labels that are painted into a layer: in memory, out of held-out boxes, and saved stroke by stroke."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidInput, PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.session.held_out import HeldOutBoxes
from napari_pytc.ui.canvas.paint.paint_array import PaintArray, StrokeStore
from napari_pytc.ui.canvas.paint.stroke_saver import StrokeSaver, Write
from napari_pytc.ui.canvas.viewer.port import Pointer, ViewerPort
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.tasks.timers import single_shot


class Painting(QObject):
    """Painting on a labels layer, for strokes and for object labels. All methods belong to the Qt thread.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    store : StrokeStore
        The store on the disk.
    held_out : HeldOutBoxes
        The boxes that cannot be painted.
    layer : callable
        Gives the layer that shows the labels.
    name : str
        Of what is painted, in the plural.
    """

    began = Signal()
    """The mouse was pressed for a stroke."""
    saved = Signal()
    """Everything that was painted until a moment ago is on the disk."""
    wrote = Signal(object)
    """The `Box` of a stroke that is on the disk."""
    failed = Signal(object)
    """A `PytcError`."""

    def __init__(
        self,
        viewer: ViewerPort,
        store: StrokeStore,
        held_out: HeldOutBoxes,
        background: Background,
        layer: Callable[[], Any],
        name: str,
        dtype: np.dtype | type = np.uint8,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._background, self._layer, self._name = viewer, background, layer, name
        self._saver: StrokeSaver | None = None
        self._explained: set[Box] = set()
        # napari puts what it painted into its copy of the slice after the array has had it.
        self._refresh_timer = single_shot(self, 0, lambda: viewer.refresh(layer()))
        self.array = PaintArray(store, self._on_painted, dtype=dtype)
        self.array.protect(lambda: held_out.protected, self._on_refused)

    def start_saving(self, make_writer: Callable[[], Write]) -> None:
        """Save strokes from now on, if they are not saved yet."""
        if self._saver is None:
            self._saver = StrokeSaver(self.array, make_writer(), self)
            self._saver.began.connect(self.began)
            self._saver.saved.connect(self.saved)
            self._saver.wrote.connect(self.wrote)
            self._saver.failed.connect(self.failed)

    def follow_mouse(self) -> None:
        """Take what is painted on the layer from press to release as a stroke."""
        self._viewer.on_mouse(self._layer(), self._on_mouse)

    @property
    def is_writing_here(self) -> bool:
        """Whether this is called in the thread that writes strokes."""
        return self._saver is not None and threading.get_ident() == self._saver.thread_id

    def flush(self, then: Callable[[], object], otherwise: Callable[[PytcError], object] | None = None) -> None:
        """Call `then` once everything is on the disk, at once if nothing is on its way; `otherwise` if that fails."""
        if self._saver is None:
            then()
        else:
            self._saver.flush(then, otherwise)

    def take_in(self, patches: Sequence[LabelPatch], then: Callable[[], object]) -> None:
        """Show the patches that an undo or a redo changed on the disk, read in the helper thread, then call `then`."""

        def work() -> None:
            for patch in patches:
                self.array.take_in(patch)

        self._background.run(work, lambda nothing: then(), self.failed.emit, receiver=self)

    def close(self) -> None:
        """Save and end the thread that writes; `failed` is emitted if the disk refuses."""
        if self._saver is not None and not self._saver.close():
            message = f"The last {self._name} could not be saved."
            self.failed.emit(VolumeError(message, "Free space on the disk before painting again."))

    # ---- private

    def _on_painted(self) -> None:
        if self._saver is not None:
            self._saver.touch()

    def _on_mouse(self, pointer: Pointer) -> None:
        if self._saver is not None and pointer.phase != "move":
            (self._saver.press if pointer.phase == "press" else self._saver.release)()

    def _on_refused(self, box: Box) -> None:
        """The first time in each box a message gives the reason and what to do instead, later the status bar alone."""
        self._refresh_timer.start()
        if box in self._explained:
            self._viewer.show_status("This box is held out: what is painted in it is left out.")
            return
        self._explained.add(box)
        self.failed.emit(
            InvalidInput(
                "This box is held out for honest scores: what is painted in it is left out, as it is not for training.",
                "Paint elsewhere to train. In the Data panel, the pencil beside the box lets you paint what is true in "
                "it, and ✕ gives it back to training.",
            )
        )
