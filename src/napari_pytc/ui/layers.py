"""A project's layers in a viewer: image, strokes, prediction, segments, held-out boxes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.session import Session
from napari_pytc.ui.arrays import VolumeArray
from napari_pytc.ui.background import Background
from napari_pytc.ui.contrast import find_contrast, widest
from napari_pytc.ui.flat import FlatOnly
from napari_pytc.ui.guard import HeldOutGuard
from napari_pytc.ui.object_layer import ObjectLayer
from napari_pytc.ui.outline import OutlineLayer
from napari_pytc.ui.paint import ScribbleArray
from napari_pytc.ui.port import Look, Pointer, ViewerPort
from napari_pytc.ui.predictions import PredictionLayers, once
from napari_pytc.ui.sections import SectionCache, SectionReader
from napari_pytc.ui.segment_arrays import SegmentSource
from napari_pytc.ui.segments import SegmentLayers
from napari_pytc.ui.sight import Sight
from napari_pytc.ui.strokes import StrokeSaver
from napari_pytc.volumes.source import VolumeSource

BRUSH_SIZE = 5
"""Diameter in voxels."""
CLASS_KEYS, ERASER_KEY = "123456789", "0"
"""On our layers, where they take the place of napari's keys for tools."""
UNDO_KEY, REDO_KEY = "Control-Z", "Control-Shift-Z"
_HELP = "1 to 9: paint a class, 0: erase, Ctrl+Z: undo"
_PAINTING_HELP = f"{_HELP}, [ and ]: size of the brush, Space and drag: move"
_REFRESH_MS = 60


class ProjectLayers(Sight):
    """Shows a session in a viewer and saves what is painted. All methods belong to the Qt thread.

    The user may rename, hide, move, transpose or delete the layers: `restore` puts back what was deleted, and nothing
    that was painted depends on them.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    session : Session
        The project.
    image : VolumeSource
        Its image.
    background : Background
        For what has to wait for the disk.
    """

    saved = Signal()
    """Strokes are on disk, or were changed there by others: counts may differ."""
    stroke_begun = Signal()
    stroke_written = Signal(object)
    """The `Box` of strokes that are on the disk, whoever made them."""
    failed = Signal(object)
    """A `PytcError`."""
    class_chosen = Signal(int)
    """The class in the brush, 0 for the eraser."""
    undo_asked = Signal()
    """The keys for undo were pressed on one of the layers; napari's own undo knows nothing of the journal."""
    redo_asked = Signal()
    _image_arrived = Signal()
    _changed_on_disk = Signal()

    def __init__(
        self,
        viewer: ViewerPort,
        session: Session,
        image: VolumeSource,
        background: Background,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(viewer, session.space, image.shape, parent)
        newest = session.predictions()  # before anything is made: the database may refuse
        self._session, self._image_source, self._background = session, image, background
        self._is_open = True
        self._was_predicted_seen = False
        self._chosen = 1
        self._flat = FlatOnly(viewer, Box.of_shape(image.shape).size)
        self._reader = SectionReader()
        self._image_cache = SectionCache(
            image.read,
            image.shape,
            np.dtype(image.dtype),
            self._reader,
            on_arrival=self._image_arrived.emit,
            on_error=self._tell_once,
            focus=self.focus,
        )
        self._has_told = False
        self._array = ScribbleArray(session.annotations, self._on_painted)
        HeldOutGuard(viewer, session, self._array, lambda: self._strokes, self.failed.emit, self)
        self._saver: StrokeSaver | None = None
        if not session.read_only:
            self._saver = StrokeSaver(self._array, session.stroke_writer(), self)
            self._saver.began.connect(self.stroke_begun)
            self._saver.saved.connect(self.saved)
            self._saver.wrote.connect(self.stroke_written)
            self._saver.failed.connect(self.failed)
        self._refresh_timer = once(self, _REFRESH_MS, lambda: self._viewer.refresh(self._image))
        self._image_arrived.connect(self._on_image_arrived)
        self._changed_on_disk.connect(self._on_changed_on_disk)
        self._strokes: Any = None
        self._held_out = self._outlines(Look("Held out", "held-out", "#ffe119"))
        self.outline = self._outlines(Look("Paint here", "paint-here", "#ffffff"))
        self.predictions = PredictionLayers(
            viewer,
            background,
            self._reader,
            image.shape,
            session.space,
            lambda: self._strokes,
            self.focus,
            self,
        )
        self.predictions.failed.connect(self.failed)
        self.predictions.added.connect(self._bind_keys)
        self.segments = SegmentLayers(
            viewer, self._reader, image.shape, session.space, lambda: self._strokes, self.focus, self
        )
        self.segments.failed.connect(self.failed)
        self.segments.added.connect(self._bind_keys)
        self.objects = ObjectLayer(viewer, session, background, lambda: self._strokes, self._bind_keys, self)
        self.objects.saved.connect(self.saved)
        self.objects.failed.connect(self.failed)
        self.restore()
        find_contrast(viewer, image, lambda: self._image if self._is_open else None, background)
        self._stops = [
            viewer.on_view_changed(self._on_view_changed),
            viewer.on_layers_changed(self._on_layers_changed),
        ]
        session.classes_changed.connect(self._on_classes_changed)
        session.held_out_changed.connect(self._show_held_out)
        session.annotated.connect(self._on_annotated)
        if newest:
            self.show_prediction(newest[-1])

    # ---- layers

    def restore(self) -> None:
        """Put back layers that the user deleted, and take up the brush."""
        space, viewer = self._session.space, self._viewer
        if not viewer.has(self._image):
            look = Look(self._session.folder.stem, "image", contrast_limits=widest(self._image_source))
            self._image = viewer.add_image(VolumeArray(self._image_cache), space, look)
            self._bind_keys(self._image)
        if not viewer.has(self._strokes):
            colours = {c.id: c.colour for c in self._session.classes}
            self._strokes = viewer.add_labels(self._array, space, Look("Strokes", "strokes", colours, opacity=0.8))
            viewer.make_paintable(self._strokes, not self._session.read_only, BRUSH_SIZE)
            viewer.on_label_chosen(self._strokes, self._on_label_chosen)
            viewer.on_mouse(self._strokes, self._on_mouse)
            self._bind_keys(self._strokes)
            viewer.set_help(self._strokes, _PAINTING_HELP)
        self.segments.restore()
        self.objects.restore()
        self._show_held_out()
        if self._session.read_only:
            viewer.select(self._strokes)
        else:
            self.choose_class(self._chosen)

    @property
    def strokes(self) -> Any:
        """The layer to paint in; the user may have deleted it."""
        return self._strokes

    # ---- painting

    def choose_class(self, number: int) -> None:
        """Take a class into the brush, 0 to erase, and select the strokes."""
        if not 0 <= number <= len(self._session.classes) or not self._is_open:
            return
        if not self._viewer.has(self._strokes):
            self._chosen = number
            self.restore()
            return
        self._viewer.select(self._strokes)
        self._viewer.choose_label(self._strokes, number)
        self._on_label_chosen()

    @property
    def chosen_class(self) -> int:
        """The class in the brush, 0 for the eraser."""
        return self._chosen

    def allow_painting(self, allowed: bool) -> None:
        """Keep the brush away while strokes are changed on disk by others, as when a class is removed."""
        self._viewer.make_paintable(self._strokes, allowed and not self._session.read_only)
        if allowed:
            self.choose_class(min(self._chosen, len(self._session.classes)))

    def show_strokes(self, patches: Sequence[LabelPatch]) -> None:
        """Strokes that an undo or a redo changed on the disk; shown as soon as the helper thread has taken them in."""

        def take_in() -> None:
            for patch in patches:
                self._array.take_in(patch)

        self._background.run(take_in, lambda nothing: self._on_changed_on_disk(), self.failed.emit, receiver=self)

    def flush(self, then: Callable[[], object], otherwise: Callable[[PytcError], object] | None = None) -> None:
        """Call `then` once every stroke is on the disk, at once if none is on its way; `otherwise` if that fails."""
        if self._saver is None:
            then()
        else:
            self._saver.flush(lambda: self.objects.flush(then, otherwise), otherwise)

    # ---- predictions

    def show_prediction(self, prediction: PredictionRecord | None) -> None:
        """Show a prediction in place of the one that is shown."""
        self.predictions.set_classes(self._session.classes)
        self.predictions.show(None if prediction is None else prediction.folder)

    def show_new_voxels(self, output: Path | None, boxes: list[Box]) -> None:
        """A job wrote these voxels of a prediction: show them, and the prediction if another is shown."""
        if output is None or not self._is_open:
            return
        if output == self.predictions.folder:
            self.predictions.show_new(boxes)
        else:
            self.predictions.set_classes(self._session.classes)
            self.predictions.show(output)

    def toggle_prediction(self) -> None:
        """Hide or show the predicted classes."""
        self.predictions.toggle()

    # ---- segments

    def show_segments(self, source: SegmentSource | None) -> None:
        """Show the segments of a document in place of the predicted classes, or none."""
        if self._is_open:
            self.predictions.set_visible(source is None)
            self.segments.show(source)

    def show_trial(self, source: SegmentSource | None) -> None:
        """Show segments that nothing keeps yet in place of all others, or take them away."""
        if not self._is_open:
            return
        if source is not None and self.segments.trial is None:
            self._was_predicted_seen = self.predictions.is_visible
            self.predictions.set_visible(False)
        elif source is None and self.segments.trial is not None and self._was_predicted_seen:
            self.predictions.set_visible(self.segments.source is None)
        self.segments.show_trial(source)

    # ---- the end

    def close(self) -> None:
        """Save, take the layers away, stop reading; may be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        for stop in self._stops:
            stop()
        session = self._session
        session.classes_changed.disconnect(self._on_classes_changed)
        session.held_out_changed.disconnect(self._show_held_out)
        session.annotated.disconnect(self._on_annotated)
        if self._saver is not None and not self._saver.close():
            self.failed.emit(
                VolumeError("The last strokes could not be saved.", "Free space on the disk before painting again.")
            )
        self.objects.close()
        self.segments.close()
        self.predictions.close()
        self._refresh_timer.stop()
        # Shapes first: vispy has crashed drawing what came next where they went between the others.
        self._held_out.close()
        self.outline.close()
        for layer in (self._boxes, self.objects.layer, self._strokes, self._image):
            self._viewer.remove(layer)
        self._reader.close()
        self._image_cache.close()

    # ---- what follows is ours

    def _outlines(self, look: Look) -> OutlineLayer:
        return OutlineLayer(self._viewer, self._space, self._shape, look, lambda: self._strokes, self)

    def _show_held_out(self, *boxes: object) -> None:
        self._held_out.show(self._session.held_out)

    def _on_painted(self) -> None:
        if self._saver is not None:
            self._saver.touch()

    def _on_mouse(self, pointer: Pointer) -> None:
        """A stroke is what is painted from press to release."""
        if self._saver is not None and pointer.phase != "move":
            (self._saver.press if pointer.phase == "press" else self._saver.release)()

    def _on_label_chosen(self) -> None:
        found = self._viewer.chosen_label(self._strokes)
        if found > len(self._session.classes):  # napari lets any number be chosen
            self._viewer.choose_label(self._strokes, len(self._session.classes))
        elif found != self._chosen:
            self._chosen = found
            self.class_chosen.emit(found)

    def _bind_keys(self, layer: Any) -> None:
        keys = {key: lambda number=int(key): self.choose_class(number) for key in (ERASER_KEY, *CLASS_KEYS)}
        self._viewer.bind_keys(layer, keys)
        self._viewer.bind_keys(layer, {UNDO_KEY: self.undo_asked.emit, REDO_KEY: self.redo_asked.emit})
        self._viewer.set_help(layer, _HELP)

    def _on_layers_changed(self) -> None:
        if self._is_open and not self._viewer.has(self._strokes):
            self._viewer.show_status("The strokes are safe. Choose a class to bring their layer back.")

    def _on_view_changed(self) -> None:
        sizes = dict.fromkeys((self._strokes, *self.predictions.layers), 1)
        sizes[self._image] = np.dtype(self._image_source.dtype).itemsize
        of_ids = (self.objects.layer, *self.segments.layers)
        self._flat.look(sizes | dict.fromkeys(of_ids, np.dtype(np.uint32).itemsize))
        self._held_out.show_soon()
        self.outline.show_soon()

    def _on_classes_changed(self, *classes: object) -> None:
        self._viewer.set_colours(self._strokes, {c.id: c.colour for c in self._session.classes})
        self.predictions.set_classes(self._session.classes)
        if self._chosen > len(self._session.classes):
            self.choose_class(len(self._session.classes))

    def _on_annotated(self, box: Box) -> None:
        """Others wrote strokes, perhaps in their thread."""
        if self._saver is None or threading.get_ident() != self._saver.thread_id:
            self._array.forget(box)
            self._changed_on_disk.emit()
            self.stroke_written.emit(box)

    def _on_changed_on_disk(self) -> None:
        if self._is_open:
            self._viewer.refresh(self._strokes)
            self.saved.emit()

    def _on_image_arrived(self) -> None:
        if self._is_open and not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def _tell_once(self, error: PytcError) -> None:
        """Called in the reader's thread: an image that went away would tell it for every piece."""
        if not self._has_told:
            self._has_told = True
            self.failed.emit(error)
