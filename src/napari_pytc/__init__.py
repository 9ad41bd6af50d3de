"""Interactive, semi-automatic segmentation of volumetric microscopy, connectomics first."""

__version__ = "0.1.0"
