"""TIFF files: which pages are an image, how they are stored, and how large their voxels are."""
