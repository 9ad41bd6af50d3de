"""Reports: a page about a project that stands alone, with data, effort, models and scores, edits, methods."""

from napari_pytc.report.facts import gather
from napari_pytc.report.page import write_report

__all__ = ["gather", "write_report"]
