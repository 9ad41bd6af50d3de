"""A project's layers in a viewer: image, strokes, prediction, segments, held-out boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.hide_in_3d import HideIn3D
from napari_pytc.ui.canvas.image_layers import ImageLayers
from napari_pytc.ui.canvas.paint.object_layer import ObjectLayer
from napari_pytc.ui.canvas.paint.painting import Painting
from napari_pytc.ui.canvas.predictions.prediction_layers import PredictionLayers
from napari_pytc.ui.canvas.section_cache import SectionReader
from napari_pytc.ui.canvas.segments.segment_arrays import SegmentSource
from napari_pytc.ui.canvas.segments.segment_layers import SegmentLayers
from napari_pytc.ui.canvas.viewer.box_layer import BoxLayer
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.canvas.viewer.view import View
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.source import ImageSource

BRUSH_SIZE = 5
"""Diameter in voxels."""
CLASS_KEYS, ERASER_KEY = "123456789", "0"
"""Keys on our layers, where they take the place of napari's keys for tools."""
UNDO_KEY, REDO_KEY = "Control-Z", "Control-Shift-Z"
_HELP = "1 to 9: paint a class, 0: erase, Ctrl+Z: undo"
_PAINTING_HELP = f"{_HELP}, [ and ]: size of the brush, Space and drag: move"


class ProjectLayers(View):
    """Shows a session in a viewer and saves strokes. All methods belong to the Qt thread.

    The user may rename, hide, move, transpose or delete the layers: `restore` puts back what was deleted, and nothing
    that was painted depends on them.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    session : Session
        The project.
    image : ImageSource
        Its image.
    background : Background
        For what has to wait for the disk.
    own_layers : sequence
        The user's layers that show the image already, one a channel: they are the image's, and stay when the project is
        closed.
    """

    saved = Signal()
    """Strokes are on disk, or were changed there by others: counts may differ."""
    stroke_begun = Signal()
    stroke_written = Signal(object)
    """The `Box` of strokes that are on the disk, of any origin."""
    failed = Signal(object)
    """A `PytcError`."""
    class_chosen = Signal(int)
    """The class in the brush, 0 for the eraser."""
    undo_requested = Signal()
    """The keys for undo were pressed on one of the layers; napari's own undo is not aware of the journal."""
    redo_requested = Signal()
    _changed_on_disk = Signal()

    def __init__(
        self,
        viewer: ViewerPort,
        session: Session,
        image: ImageSource,
        background: Background,
        parent: QObject | None = None,
        own_layers: Sequence[Any] = (),
    ) -> None:
        super().__init__(viewer, session.image.space, image.shape, parent)
        newest = session.predictions.records()  # before anything is made: the database may refuse
        self._session = session
        self._is_open = True
        self._was_predicted_seen = False
        self._chosen = 1
        self._hide_in_3d = HideIn3D(viewer, Box.of_shape(image.shape).size)
        self._reader = SectionReader()
        self._image_layers: ImageLayers | None = None
        self._painting = Painting(
            viewer, session.strokes.store, session.held_out, background, lambda: self._strokes, "strokes", parent=self
        )
        self._painting.began.connect(self.stroke_begun)
        self._painting.saved.connect(self.saved)
        self._painting.wrote.connect(self.stroke_written)
        self._painting.failed.connect(self.failed)
        if not session.project.read_only:
            self._painting.start_saving(session.strokes.writer)
        self._changed_on_disk.connect(self._on_changed_on_disk)
        self._strokes: Any = None
        self._held_out = self._outlines(LayerStyle("Held out", "held-out", "#ffe119"))
        self.outline = self._outlines(LayerStyle("Paint here", "paint-here", "#ffffff"))
        self.predictions = PredictionLayers(
            viewer,
            background,
            self._reader,
            image.shape,
            session.image.space,
            lambda: self._strokes,
            self.focus,
            self,
        )
        self.predictions.failed.connect(self.failed)
        self.predictions.added.connect(self._bind_keys)
        self.segments = SegmentLayers(
            viewer, self._reader, image.shape, session.image.space, lambda: self._strokes, self.focus, self
        )
        self.segments.failed.connect(self.failed)
        self.segments.added.connect(self._bind_keys)
        self.objects = ObjectLayer(viewer, session, background, lambda: self._strokes, self._bind_keys, self)
        self.objects.saved.connect(self.saved)
        self.objects.failed.connect(self.failed)
        self._image_layers = ImageLayers(
            viewer,
            image,
            session.image.space,
            self._title,
            self._reader,
            background,
            self._bind_keys,
            self.focus,
            own_layers,
            self,
        )
        self._image_layers.failed.connect(self.failed)
        self.restore()
        self._stops = [
            viewer.on_view_changed(self._on_view_changed),
            viewer.on_layers_changed(self._on_layers_changed),
        ]
        session.classes.changed.connect(self._on_classes_changed)
        session.held_out.changed.connect(self._show_held_out)
        session.strokes.changed.connect(self._on_annotated)
        if newest:
            self.show_prediction(newest[-1])

    # ---- layers

    def restore(self) -> None:
        """Put back layers that the user deleted, and take up the brush."""
        space, viewer = self._session.image.space, self._viewer
        assert self._image_layers is not None
        self._image_layers.restore()
        if not viewer.has(self._strokes):
            colours = {c.id: c.colour for c in self._session.classes.records()}
            self._strokes = viewer.add_labels(
                self._painting.array, space, LayerStyle("Strokes", "strokes", colours, opacity=0.8)
            )
            viewer.make_paintable(self._strokes, not self._session.project.read_only, BRUSH_SIZE)
            viewer.on_label_chosen(self._strokes, self._on_label_chosen)
            self._painting.follow_mouse()
            self._bind_keys(self._strokes)
            viewer.set_help(self._strokes, _PAINTING_HELP)
        self.segments.restore()
        self.objects.restore()
        self._show_held_out()
        if self._session.project.read_only:
            viewer.select(self._strokes)
        else:
            self.choose_class(self._chosen)

    @property
    def strokes(self) -> Any:
        """The layer to paint in; the user may have deleted it."""
        return self._strokes

    @property
    def image(self) -> Any:
        """The image layer, of several channels the first that is there; the user may have deleted it."""
        return None if self._image_layers is None else self._image_layers.main

    @property
    def images(self) -> tuple[Any, ...]:
        """The image's layers, one a channel."""
        assert self._image_layers is not None
        return self._image_layers.layers

    @property
    def own_layers(self) -> tuple[Any, ...]:
        """The user's layers that are the image's; empty where ours are."""
        assert self._image_layers is not None
        return self._image_layers.own

    # ---- painting

    def choose_class(self, number: int) -> None:
        """Take a class into the brush, 0 to erase, and select the strokes."""
        if not 0 <= number <= len(self._session.classes.names) or not self._is_open:
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
        self._viewer.make_paintable(self._strokes, allowed and not self._session.project.read_only)
        if allowed:
            self.choose_class(min(self._chosen, len(self._session.classes.names)))

    def show_strokes(self, patches: Sequence[LabelPatch]) -> None:
        """Strokes that an undo or a redo changed on the disk; shown as soon as the helper thread has taken them in."""
        self._painting.take_in(patches, self._on_changed_on_disk)

    def flush(self, then: Callable[[], object], otherwise: Callable[[PytcError], object] | None = None) -> None:
        """Call `then` once every stroke is on the disk, at once if none is on its way; `otherwise` if that fails."""
        self._painting.flush(lambda: self.objects.painting.flush(then, otherwise), otherwise)

    # ---- predictions

    def show_prediction(self, prediction: PredictionRecord | None) -> None:
        """Show a prediction in place of the one that is shown."""
        self.predictions.set_classes(self._session.classes.records())
        self.predictions.show(None if prediction is None else prediction.folder)

    def show_new_voxels(self, output: Path | None, boxes: list[Box]) -> None:
        """A job wrote these voxels of a prediction: show them, and the prediction if another is shown."""
        if output is None or not self._is_open:
            return
        if output == self.predictions.folder:
            self.predictions.show_new(boxes)
        else:
            self.predictions.set_classes(self._session.classes.records())
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
        session.classes.changed.disconnect(self._on_classes_changed)
        session.held_out.changed.disconnect(self._show_held_out)
        session.strokes.changed.disconnect(self._on_annotated)
        self._painting.close()
        self.objects.close()
        self.segments.close()
        self.predictions.close()
        # Shapes first: vispy has crashed drawing what came next where they went between the others.
        self._held_out.close()
        self.outline.close()
        for layer in (self._boxes, self.objects.layer, self._strokes):
            self._viewer.remove(layer)
        assert self._image_layers is not None
        self._image_layers.close()
        self._reader.close()

    # ---- private

    def _title(self) -> str:
        """What the image's layer is called."""
        several = len(self._session.volumes.names) > 1
        return self._session.image.volume.name if several else self._session.folder.stem

    def _outlines(self, style: LayerStyle) -> BoxLayer:
        return BoxLayer(self._viewer, self._space, self._shape, style, lambda: self._strokes, self)

    def _show_held_out(self, *boxes: object) -> None:
        self._held_out.show(self._session.held_out.boxes)

    def _on_label_chosen(self) -> None:
        found = self._viewer.chosen_label(self._strokes)
        if found > len(self._session.classes.names):  # napari lets any number be chosen
            self._viewer.choose_label(self._strokes, len(self._session.classes.names))
        elif found != self._chosen:
            self._chosen = found
            self.class_chosen.emit(found)

    def _bind_keys(self, layer: Any) -> None:
        keys = {key: lambda number=int(key): self.choose_class(number) for key in (ERASER_KEY, *CLASS_KEYS)}
        self._viewer.bind_keys(layer, keys)
        self._viewer.bind_keys(layer, {UNDO_KEY: self.undo_requested.emit, REDO_KEY: self.redo_requested.emit})
        self._viewer.set_help(layer, _HELP)

    def _on_layers_changed(self) -> None:
        if self._is_open and not self._viewer.has(self._strokes):
            self._viewer.show_status("The strokes are safe. Choose a class to bring their layer back.")

    def _on_view_changed(self) -> None:
        assert self._image_layers is not None
        sizes = dict.fromkeys((self._strokes, *self.predictions.layers), 1) | self._image_layers.bytes_in_3d
        of_ids = (self.objects.layer, *self.segments.layers)
        self._hide_in_3d.update(sizes | dict.fromkeys(of_ids, np.dtype(np.uint32).itemsize))
        self._held_out.show_soon()
        self.outline.show_soon()

    def _on_classes_changed(self, *classes: object) -> None:
        self._viewer.set_colours(self._strokes, {c.id: c.colour for c in self._session.classes.records()})
        self.predictions.set_classes(self._session.classes.records())
        if self._chosen > len(self._session.classes.names):
            self.choose_class(len(self._session.classes.names))

    def _on_annotated(self, box: Box) -> None:
        """Others wrote strokes, perhaps in their thread."""
        if not self._painting.is_writing_here:
            self._painting.array.forget(box)
            self._changed_on_disk.emit()
            self.stroke_written.emit(box)

    def _on_changed_on_disk(self) -> None:
        if self._is_open:
            self._viewer.refresh(self._strokes)
            self.saved.emit()
