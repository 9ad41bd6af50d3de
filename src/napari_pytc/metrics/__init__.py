"""Scores of segmentations, with NumPy and SciPy only; counts are gathered block by block, so no volume is too large."""

from napari_pytc.metrics.boundaries import BoundaryScore, boundary_f1
from napari_pytc.metrics.evaluation import evaluate_classes, evaluate_instances
from napari_pytc.metrics.objects import ObjectScore, average_precision
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.metrics.run_lengths import SkeletonScores, run_lengths
from napari_pytc.metrics.skeletons import evaluate_skeletons

__all__ = [
    "BoundaryScore",
    "ClassCounts",
    "ContingencyTable",
    "ObjectScore",
    "SkeletonScores",
    "average_precision",
    "boundary_f1",
    "evaluate_classes",
    "evaluate_instances",
    "evaluate_skeletons",
    "run_lengths",
]
