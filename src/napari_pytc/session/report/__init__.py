"""A page about a project that stands alone: data, effort, models and their scores, edits, methods."""

from napari_pytc.session.report.facts import gather
from napari_pytc.session.report.writing import write_report

__all__ = ["gather", "write_report"]
