"""Small files of every kind, written with the reference libraries, never with this program."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import tensorstore as ts
import tifffile
import zarr

SHAPE = (9, 37, 41)


def image(dtype: str = "uint8", shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 250, shape)
    return (values.astype("float64") / 7).astype(dtype) if dtype.startswith("float") else values.astype(dtype)


def write_hdf5(path: Path, datasets: dict[str, np.ndarray], attributes: dict | None = None, **options) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            dataset = file.create_dataset(name, data=data, **options)
            for key, value in (attributes or {}).items():
                dataset.attrs[key] = value
    return path


def write_tiff(path: Path, data: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, data, **({"photometric": "minisblack"} | options))
    return path


def write_sections(folder: Path, data: np.ndarray, suffix: str) -> Path:
    folder.mkdir()
    for z, section in enumerate(data):
        # Not padded: 10 must come after 2.
        path = folder / f"section_{z}{suffix}"
        if suffix == ".tif":
            tifffile.imwrite(path, section)
        elif suffix == ".png":
            path.write_bytes(imagecodecs.png_encode(section))
        else:
            path.write_bytes(imagecodecs.jpeg_encode(section, level=95))
    return folder


def write_zarr(folder: Path, data: np.ndarray, version: int, path: str = "", **options) -> Path:
    group = zarr.open_group(folder, mode="a", zarr_format=version) if path else None
    store = {"store": folder, "name": path} if group is not None else {"store": folder}
    array = zarr.create_array(**store, shape=data.shape, dtype=data.dtype, chunks=(1,) * (data.ndim - 3) + (4, 16, 16),
                              zarr_format=version, **options)  # fmt: skip
    array[...] = data
    return folder


def write_ome_zarr(folder: Path, levels: list[np.ndarray], version: str, axes: list[dict], scales: list[list[float]],
                   translation: list[float] | None = None) -> Path:  # fmt: skip
    datasets = [
        {
            "path": f"s{i}",
            "coordinateTransformations": [
                {"type": "scale", "scale": scale},
                *([{"type": "translation", "translation": translation}] if translation else []),
            ],
        }
        for i, scale in enumerate(scales)
    ]
    multiscales = [{"axes": axes, "datasets": datasets, "version": version}]
    for i, level in enumerate(levels):
        write_zarr(folder, level, 2 if version == "0.4" else 3, f"s{i}")
    group = zarr.open_group(folder, mode="a")
    if version == "0.4":
        group.attrs["multiscales"] = multiscales
    else:
        group.attrs["ome"] = {"version": version, "multiscales": multiscales}
    return folder


def write_n5(folder: Path, data: np.ndarray, path: str, attributes: dict | None = None) -> Path:
    kvstore = {"driver": "file", "path": f"{folder.as_posix()}/{path}/"}
    metadata = {
        "dimensions": list(data.shape[::-1]),
        "blockSize": [16, 16, 4],
        "dataType": str(data.dtype),
        "compression": {"type": "gzip"},
    }
    array = ts.open({"driver": "n5", "kvstore": kvstore, "metadata": metadata}, create=True).result()
    array.write(data.transpose(2, 1, 0)).result()
    file = folder / path / "attributes.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | (attributes or {})))
    return folder


def write_precomputed(folder: Path, data: np.ndarray, scales: int = 1) -> Path:
    """(c, z, y, x); each further scale is the data with every second voxel left out along y and x."""
    for scale in range(scales):
        part = data[..., :: 2**scale, :: 2**scale]
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder.as_posix()}/"},
            "scale_metadata": {
                "size": list(part.shape[:0:-1]),
                "resolution": [4 * 2**scale, 4 * 2**scale, 40],
                "voxel_offset": [10, 20, 30],
                "chunk_size": [16, 16, 4],
                "encoding": "raw",
            },
            "multiscale_metadata": {"data_type": str(data.dtype), "num_channels": data.shape[0], "type": "image"},
        }
        array = ts.open(spec, create=True).result()[ts.d[:].translate_to[0]]
        array.write(part.transpose(3, 2, 1, 0)).result()
    return folder
