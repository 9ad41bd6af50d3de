"""Predictions of known objects: what a network that is nearly right would say, in memory and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pytc.decoding.evidence import Evidence
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ChannelRole, ClassRole, DistanceRole, roles_to_json
from napari_pytc.volumes.roles import ForegroundRole
from napari_pytc.volumes.zarr_output import create_ome_zarr

NEAR = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
FAR = ((2, 0, 0), (0, 4, 0), (0, 0, 4), (0, 4, 4))


def boundary_of(cells: np.ndarray, noise: float = 0.0, blur: float = 0.7, seed: int = 0) -> np.ndarray:
    """Probability of a boundary between cells, or of what is no cell (0); float32 (z, y, x)."""
    found = cells == 0
    for axis in range(3):
        near, far = _ends(axis, 1)
        differ = cells[near] != cells[far]
        found[near] |= differ
        found[far] |= differ
    return _blurred(found.astype(np.float32), noise, blur, seed)


def affinities_of(
    cells: np.ndarray, offsets: Sequence[tuple[int, int, int]], noise: float = 0.0, blur: float = 0.7, seed: int = 0
) -> np.ndarray:
    """Probability that voxels at these offsets are of one cell; 0 is no cell; float32 (c, z, y, x)."""
    found = np.zeros((len(offsets), *cells.shape), np.float32)
    for channel, offset in enumerate(offsets):
        here = tuple(slice(max(-o, 0), n - max(o, 0)) for o, n in zip(offset, cells.shape, strict=True))
        there = tuple(slice(max(o, 0), n - max(-o, 0)) for o, n in zip(offset, cells.shape, strict=True))
        same = (cells[here] == cells[there]) & (cells[here] > 0)
        found[channel] = 1  # beyond the end nothing is known
        found[channel][here] = same
        found[channel] = _blurred(found[channel], noise, blur, seed + channel)
    return found


def write_prediction(
    path: Path, channels: np.ndarray, roles: Sequence[ChannelRole], space: VoxelSpace, unpredicted: Box | None = None
) -> Path:
    """Write channels (c, z, y, x) in 0 to 1 as `predict` would, never 0 in all of them where it has been."""
    values = np.clip(np.round(channels * 255), 0, 255).astype(np.uint8)
    values[0][~values.any(axis=0)] = 1
    if unpredicted is not None:
        values[(slice(None), *unpredicted.slices)] = 0
    attributes = {"napari_pytc": {"channels": roles_to_json(roles)}}
    names = [role.title for role in roles]
    array = create_ome_zarr(path, channels.shape[1:], np.uint8, space, channels=names, attributes=attributes)
    array.write(Box.of_shape(channels.shape[1:]), values)
    return path


def prediction_of(
    path: Path, cells: np.ndarray, space: VoxelSpace, what: Sequence[str] = ("near",), noise: float = 0.1, seed: int = 0
) -> Path:
    """A prediction of cells on disk: any of near, before, far, foreground, boundary, distance, classes."""
    channels: list[np.ndarray] = []
    roles: list[ChannelRole] = []
    before = tuple((-z, -y, -x) for z, y, x in NEAR)
    for offset in (*NEAR * ("near" in what), *before * ("before" in what), *FAR * ("far" in what)):
        channels += [affinities_of(cells, [offset], noise, seed=seed + len(roles))[0]]
        roles += [AffinityRole(offset=offset)]
    membrane = boundary_of(cells, noise, seed=seed)
    if "foreground" in what:
        channels, roles = [*channels, 1 - membrane], [*roles, ForegroundRole()]
    if "boundary" in what:
        channels, roles = [*channels, membrane], [*roles, BoundaryRole()]
    if "distance" in what:
        outside = boundary_of(cells, blur=0) > 0.5
        inner, outer = (
            ndimage.distance_transform_edt(part, sampling=space.voxel_size_nm) for part in (~outside, outside)
        )
        channels += [np.clip((inner - outer) / 100, -1, 1) / 2 + 0.5]
        roles += [DistanceRole(reach_nm=100)]
    if "classes" in what:
        channels += [membrane, 1 - membrane]
        roles += [ClassRole(name="membrane"), ClassRole(name="inside")]
    return write_prediction(path, np.stack(channels), roles, space)


def evidence_of(cells: np.ndarray, noise: float = 0.1, seed: int = 0, *, far: bool = True) -> Evidence:
    """Affinities of cells, as evidence."""
    offsets = NEAR + FAR * far
    return Evidence(affinities=affinities_of(cells, offsets, noise, seed=seed), offsets=offsets)


def _ends(axis: int, step: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    near = tuple(slice(0, -step) if a == axis else slice(None) for a in range(3))
    far = tuple(slice(step, None) if a == axis else slice(None) for a in range(3))
    return near, far


def _blurred(values: np.ndarray, noise: float, blur: float, seed: int) -> np.ndarray:
    """What a network says instead of 0 and 1: blurred, and wrong in patches that are as large as its mistakes."""
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(values, blur) if blur else values.astype(np.float32)
    if noise:
        patches = ndimage.gaussian_filter(rng.standard_normal(values.shape).astype(np.float32), 1.5)
        soft = soft + noise * patches / patches.std()
    return np.clip(soft, 0, 1).astype(np.float32)
