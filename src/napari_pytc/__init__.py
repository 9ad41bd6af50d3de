"""Interactive, semi-automatic segmentation of volumetric microscopy, connectomics first."""

__version__ = "0.2.0"
