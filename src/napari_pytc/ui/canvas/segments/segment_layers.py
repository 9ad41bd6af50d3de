"""Layers of segments: those of a document, the highlighted ones, and the changes that an edit would make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.canvas.arrays import LazyArray, VolumeArray
from napari_pytc.ui.canvas.section_cache import SectionCache, SectionReader
from napari_pytc.ui.canvas.segments.segment_arrays import (
    CONTACT,
    IDS,
    SHOWN,
    OutlineArray,
    PatchArray,
    SegmentSource,
    ShownSegments,
)
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.tasks.timers import single_shot

REFRESH_MS = 30
"""An edit is on the canvas as soon as its voxels are read; pieces are shown 30 times a second as they arrive."""
HIGHLIGHT = ("#ffffff", "#ffd500", "#00e5ff", "#ff4df0")
"""Outlines of highlighted segments, in turn."""
CONTACT_COLOUR = "#ff1fe1"
"""Of the voxels by which two segments touch."""
_PATIENCE_S = 0.008
_CACHE_BYTES = 192 * 2**20


class SegmentLayers(QObject):
    """The layers of segments. They are read as they are looked at, in a thread of their own, and kept by section.

    ::

        Edit preview       what an edit would change, in plain colours; from the first preview on
        Highlighted        outlines of the segments that are talked about; from the first on
        Segments, tried    segments that nothing keeps yet, as of a decoder that is tried; hides those below
        Segments           the document's: 0 and deleted ones transparent, locked ones hatched

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    reader : SectionReader
        The thread that reads sections.
    space : VoxelSpace
        Voxel space of the volume.
    below : callable
        The layer that ours are put below of.
    focus : callable
        The voxel whose surroundings are read first.
    """

    failed = Signal(object)
    """A `PytcError`: the segments cannot be read."""
    added = Signal(object)
    """A layer that was added."""

    _arrived = Signal()

    def __init__(
        self,
        viewer: ViewerPort,
        reader: SectionReader,
        shape: Shape,
        space: VoxelSpace,
        below: Callable[[], Any],
        focus: Callable[[], Sequence[float]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._shape, self._space, self._below = viewer, shape, space, below
        self._has_failed = False

        def cache_of(source: SegmentSource) -> SectionCache:
            return SectionCache(
                ShownSegments(source).read,
                shape,
                np.dtype(np.uint32),
                reader,
                n_planes=2,
                n_bytes=_CACHE_BYTES,
                patience_s=_PATIENCE_S,
                on_arrival=self._arrived.emit,
                on_error=self._report_once,
                focus=focus,
            )

        self._cache_of = cache_of
        self._segments, self._trial = _LayerSet(), _LayerSet()
        self._highlighted: tuple[int, ...] = ()
        self._highlight_array: OutlineArray | None = None
        self._highlight_colours: dict[int, str] = {}
        self._highlight: Any = None
        self._edit_array: PatchArray | None = None
        self._edit_colours: dict[int, str] = {}
        self._edit: Any = None
        self._was_hidden = False
        self._timer = single_shot(self, REFRESH_MS, self._refresh)
        self._arrived.connect(self._on_arrival)

    # ---- segments

    def show(self, source: SegmentSource | None) -> None:
        """Show the segments of a document, or none."""
        self._has_failed = False
        self._clear_marks()
        if source is None:
            self._segments.clear(self._viewer)
            for layer in (self._highlight, self._edit):
                self._viewer.remove(layer)
            self._highlight = self._edit = None
        else:
            self._show_in(self._segments, source, LayerStyle("Segments", "segments", opacity=0.45, by_id=True))

    def show_trial(self, source: SegmentSource | None) -> None:
        """Show segments in place of the document's, or take them away."""
        if source is None:
            if self._trial.source is not None:
                self._trial.clear(self._viewer)
                if self._was_hidden:
                    self._viewer.set_visible(self._segments.layer, True)
            return
        if self._trial.source is None:
            self._was_hidden = self._viewer.is_visible(self._segments.layer)
            if self._was_hidden:
                self._viewer.set_visible(self._segments.layer, False)
        self._show_in(self._trial, source, LayerStyle("Segments, tried", "trial", opacity=0.45, by_id=True))

    @property
    def source(self) -> SegmentSource | None:
        """Whose segments are shown."""
        return self._segments.source

    @property
    def trial(self) -> SegmentSource | None:
        """Whose segments are tried."""
        return self._trial.source

    @property
    def layer(self) -> Any:
        """The layer of the document's segments; None if there is none. The user may have deleted it."""
        return self._segments.layer

    @property
    def layers(self) -> list[Any]:
        """All layers, the topmost first, also those that the user deleted."""
        found = (self._edit, self._highlight, self._trial.layer, self._segments.layer)
        return [layer for layer in found if layer is not None]

    def refresh(self, box: Box | None = None) -> None:
        """Segments of a box changed, or of all voxels: show them as soon as they are read."""
        for layer_set in (self._segments, self._trial):
            if layer_set.cache is not None and not layer_set.cache.renew([box or Box.of_shape(self._shape)]):
                self._on_arrival()

    def restore(self) -> None:
        """Put back layers that the user deleted."""
        for layer_set in (self._segments, self._trial):
            if layer_set.source is not None and not self._viewer.has(layer_set.layer):
                self._show_in(layer_set, layer_set.source, layer_set.style)

    def segment_at(self, position: Sequence[float]) -> int:
        """The segment of the document at a place in voxels; 0 outside, for none, and for a deleted one.

        Voxels on the canvas are known without the disk; elsewhere a chunk may have to be read.
        """
        z, y, x = (int(np.floor(p + 0.5)) for p in position)
        source, cache = self._segments.source, self._segments.cache
        if source is None or cache is None or not Box.of_shape(self._shape).contains_point((z, y, x)):
            return 0
        known = cache.peek((z, y, x))
        if known is not None:
            return int(known[IDS])
        found = int(source.segment_at((z, y, x)))
        return 0 if found and source.state(found).deleted else found

    # ---- what is talked about

    def highlight(self, segments: Sequence[int], colours: Sequence[str] = HIGHLIGHT) -> None:
        """Outline segments, each in the next of the colours; none to highlight nothing."""
        self._highlighted = tuple(segments)
        if self._segments.cache is None:
            return
        n = max(len(self._highlighted), len(colours))
        shown = {k: colours[(k - 1) % len(colours)] for k in range(1, n + 1)} | {CONTACT: CONTACT_COLOUR}
        if not self._highlighted:
            # Adding and removing a layer costs napari a third of a second: it stays, and is empty.
            if self._highlight_array is not None:
                self._highlight_array.put(())
        elif self._highlight_array is None or not self._viewer.has(self._highlight):
            self._add_highlight(shown)
        else:
            self._highlight_array.put(self._highlighted)
            if not shown.items() <= self._highlight_colours.items():
                self._highlight_colours = shown
                self._viewer.set_colours(self._highlight, shown)
        self._viewer.refresh(self._highlight)

    def mark_contact(self, box: Box, voxels: np.ndarray) -> None:
        """Mark a contact of the highlighted segments, until others are highlighted.

        Parameters
        ----------
        voxels : ndarray of bool
            (*box.shape).
        """
        if self._highlight_array is not None:
            self._highlight_array.put(self._highlighted, (box, voxels))
            self._viewer.refresh(self._highlight)

    @property
    def highlighted(self) -> tuple[int, ...]:
        """The segments that are outlined."""
        return self._highlighted

    def preview(self, box: Box, labels: np.ndarray, colours: Mapping[int, str], outline: bool = False) -> None:
        """Show the result that an edit would have, above the segments.

        Parameters
        ----------
        labels : ndarray
            (*box.shape): True, or numbers up to 255 with their colours; 0 is left as it is.
        colours : mapping
            "#rrggbb" by label.
        outline : bool
            Whether only the edges of what is labelled are shown.
        """
        shown = dict(colours)
        if self._edit_array is None or not self._viewer.has(self._edit):
            self._edit_array, self._edit_colours = PatchArray(self._shape, box, labels, outline), shown
            self._edit = self._add(self._edit_array, LayerStyle("Edit preview", "edit-preview", shown, opacity=0.75))
            return
        self._edit_array.put(box, labels, outline)
        if not shown.items() <= self._edit_colours.items():
            self._edit_colours = shown
            self._viewer.set_colours(self._edit, shown)
        self._viewer.refresh(self._edit)

    def clear_preview(self) -> None:
        """Show no edit."""
        if self._edit_array is not None:
            self._edit_array.put(Box.of_shape((0, 0, 0)), np.zeros((0, 0, 0), np.uint8), False)
            self._viewer.refresh(self._edit)

    def add_missing(self) -> bool:
        """Add one of the layers that outlines and previews are shown in, empty; whether there was one to add."""
        if self._segments.cache is None or all(map(self._viewer.has, (self._highlight, self._edit))):
            return False
        if not self._viewer.has(self._highlight):
            self._add_highlight(dict(enumerate(HIGHLIGHT, start=1)) | {CONTACT: CONTACT_COLOUR})
        else:
            self.preview(Box.of_shape((0, 0, 0)), np.zeros((0, 0, 0), np.uint8), {1: HIGHLIGHT[0]}, outline=True)
        return True

    def close(self) -> None:
        """Take the layers away and read no more."""
        self._timer.stop()
        self.show_trial(None)
        self.show(None)

    # ---- private

    def _add_highlight(self, colours: dict[int, str]) -> None:
        assert self._segments.cache is not None
        self._highlight_array = OutlineArray(self._segments.cache, self._highlighted)
        self._highlight_colours = colours
        self._highlight = self._add(self._highlight_array, LayerStyle("Highlighted", "highlight", colours, opacity=1.0))
        if self._viewer.has(self._edit):
            self._viewer.put_below(self._highlight, self._edit)

    def _clear_marks(self) -> None:
        """Take the layers away that are of a document which is shown no longer."""
        self._viewer.remove(self._edit)
        self._viewer.remove(self._highlight)
        self._edit = self._edit_array = self._highlight = self._highlight_array = None
        self._highlighted = ()

    def _show_in(self, layer_set: _LayerSet, source: SegmentSource, style: LayerStyle) -> None:
        if tuple(source.shape) != self._shape:
            message = f"The segmentation is of a volume of {tuple(source.shape)} voxels, this one has {self._shape}."
            self.failed.emit(PytcError(message, "Segment this volume's own prediction."))
            return
        if layer_set.cache is not None:
            layer_set.cache.close()
        layer_set.source, layer_set.style, layer_set.cache = source, style, self._cache_of(source)
        array = VolumeArray(layer_set.cache, SHOWN)
        if self._viewer.has(layer_set.layer):
            self._viewer.set_data(layer_set.layer, array)
        else:
            layer_set.layer = self._add(array, style)
            for above in (self._trial.layer, self._highlight, self._edit):
                if above is not layer_set.layer and self._viewer.has(above):
                    self._viewer.put_below(layer_set.layer, above)
                    break

    def _add(self, array: LazyArray, style: LayerStyle) -> Any:
        layer = self._viewer.add_labels(array, self._space, style)
        self._viewer.put_below(layer, self._below())
        self.added.emit(layer)
        return layer

    def _on_arrival(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _refresh(self) -> None:
        for layer in (self._segments.layer, self._trial.layer, self._highlight):
            if layer is not None:
                self._viewer.refresh(layer)

    def _report_once(self, error: PytcError) -> None:
        """Called in the reader's thread."""
        if not self._has_failed:
            self._has_failed = True
            self.failed.emit(error)


@dataclass(eq=False)
class _LayerSet:
    """A source with the cache and the layer that show it."""

    source: SegmentSource | None = None
    cache: SectionCache | None = None
    layer: Any = None
    style: LayerStyle = field(default_factory=lambda: LayerStyle("", ""))

    def clear(self, viewer: ViewerPort) -> None:
        viewer.remove(self.layer)
        if self.cache is not None:
            self.cache.close()
        self.source = self.cache = self.layer = None
