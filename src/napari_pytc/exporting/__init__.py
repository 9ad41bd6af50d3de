"""Volumes of any size to files: written block by block under a temporary name, then renamed."""

from napari_pytc.exporting.base import ArrayReader, Exporter, ExportOptions, exporter_for
from napari_pytc.exporting.views import Crop, MostProbable

__all__ = ["ArrayReader", "Crop", "ExportOptions", "Exporter", "MostProbable", "exporter_for"]
