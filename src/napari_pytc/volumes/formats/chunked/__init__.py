"""Arrays of chunked containers: Zarr, OME-Zarr, N5, Neuroglancer precomputed and WEBKNOSSOS, through tensorstore."""
