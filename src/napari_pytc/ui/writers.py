"""Labels layers to files: File > Save Selected Layers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QThread, QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import Exporter, ExportOptions
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.events import JobEvent, Progressed
from napari_pytc.jobs.execution import EventContext
from napari_pytc.ui.canvas.arrays import LazyArray
from napari_pytc.ui.canvas.viewer.layer_choice import VOLUME, lengths_nm
from napari_pytc.volumes.layout import check_dtype
from napari_pytc.volumes.opening import split_dataset

_AT_ONCE_BYTES = 8 * 2**20
_POLL_MS = 50


class LayerLabels:
    """A labels layer as the source of an exporter; read by blocks, so that lazy data stays lazy.

    Parameters
    ----------
    data : array-like
        (y, x) or (z, y, x), further axes in front only of length 1; of a multiscale layer the levels.
    attributes : mapping
        The layer's: scale, translate, units.

    Raises
    ------
    InvalidInput
        If there are more axes, or no whole numbers.
    """

    channels: tuple[str, ...] = ()

    def __init__(self, data: Any, attributes: Mapping[str, Any]) -> None:
        self._data = data[0] if attributes.get("multiscale") else data
        lengths = tuple(int(n) for n in self._data.shape)
        if len(lengths) < 2 or any(n != 1 for n in lengths[:-3]):
            raise InvalidInput(
                f"A labels layer is written where it has the axes z, y, x; this one has the shape {lengths}.",
                "Make a layer of one time point or channel and save that.",
            )
        dtype = np.dtype(self._data.dtype)
        if dtype.kind not in "iub":
            raise InvalidInput(f"Labels are whole numbers, got {dtype.name}.", "Convert the layer to integers.")
        self._n_extra = max(0, len(lengths) - 3)
        self._is_flat = len(lengths) == 2
        z, y, x = (1,) * (3 - len(lengths)) + lengths[-3:]
        self.shape: Shape = (z, y, x)
        self.dtype = check_dtype(np.dtype(np.uint8) if dtype.kind == "b" else dtype, "The layer")
        self.space = _space(attributes)

    def read(self, box: Box) -> np.ndarray:
        """The labels of a box."""
        if isinstance(self._data, LazyArray):
            return self._data.voxels(box)
        index = (0,) * self._n_extra + (box.slices[1:] if self._is_flat else box.slices)
        return np.asarray(self._data[index]).reshape(box.shape).astype(self.dtype, copy=False)


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer to a TIFF, OME-TIFF, HDF5 or OME-Zarr, complete or not at all; for npe2.

    What is large is written by a thread while a dialog shows how far it is; an existing file is replaced, as napari
    has confirmed that. The voxel size is written where the layer's scale has a unit of length.

    Returns
    -------
    list of str
        The path; nothing if the user cancelled.
    """
    target, labels = Path(path), LayerLabels(data, attributes)
    exporter = exporter_for(target)
    origin = (attributes.get("metadata") or {}).get(VOLUME)
    if origin is not None and Path(split_dataset(str(origin[0]))[0]).absolute() == target.absolute():
        raise InvalidInput(
            f"The layer shows {target.name} itself, which cannot be replaced while it is open.", "Choose another name."
        )
    application = QApplication.instance()
    is_window = application is not None and QThread.currentThread() is application.thread()
    if not is_window or Box.of_shape(labels.shape).size * labels.dtype.itemsize <= _AT_ONCE_BYTES:
        _write(exporter, labels, target, EventContext("save", lambda event: None))
        return [path]
    return [path] if _write_with_dialog(exporter, labels, target) else []


def _write(exporter: Exporter, labels: LayerLabels, target: Path, context: EventContext) -> None:
    exporter.export(labels, target, ExportOptions(overwrite=True), context)


def _write_with_dialog(exporter: Exporter, labels: LayerLabels, target: Path) -> bool:
    """Write in a thread; the window stays alive and can cancel. Whether it was written."""
    done = [0, 1]

    def on_event(event: JobEvent) -> None:
        if isinstance(event, Progressed):
            done[:] = event.done, event.total

    context = EventContext("save", on_event)
    dialog = QProgressDialog(f"Writing {target.name} …", "Cancel", 0, 1000, QApplication.activeWindow())
    dialog.setWindowModality(Qt.WindowModality.WindowModal)
    dialog.setAutoReset(False)
    dialog.canceled.connect(context.cancel)
    loop, timer = QEventLoop(), QTimer(dialog)
    with ThreadPoolExecutor(1, thread_name_prefix="napari-pytc-save") as pool:
        future = pool.submit(_write, exporter, labels, target, context)

        def update() -> None:
            if future.done():
                loop.quit()
            else:
                dialog.setValue(1000 * done[0] // max(1, done[1]))

        timer.timeout.connect(update)
        timer.start(_POLL_MS)
        loop.exec()
        timer.stop()
    dialog.canceled.disconnect(context.cancel)
    dialog.close()
    dialog.deleteLater()
    try:
        future.result()
    except JobCancelled:
        return False
    return True


def _space(attributes: Mapping[str, Any]) -> VoxelSpace:
    units = attributes.get("units")
    if units is None:
        return VoxelSpace.unknown()
    size = lengths_nm(attributes["scale"], units)
    origin = lengths_nm(attributes.get("translate", np.zeros(len(units))), units)
    if size is None or origin is None or not all(v > 0 for v in size):
        return VoxelSpace.unknown()
    return VoxelSpace(size, origin)
