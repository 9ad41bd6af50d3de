"""Boxes, tiles and voxel sizes: numpy only."""

from napari_pytc.geometry.box import Box, ChunkIndex, Shape, Voxel, hull_of, whole_multiples
from napari_pytc.geometry.orientation import QUARTER_TURNS, Orientation, distinct
from napari_pytc.geometry.space import VoxelSpace
from napari_pytc.geometry.tiles import Tile, TileGrid, cells

__all__ = [
    "QUARTER_TURNS",
    "Box",
    "ChunkIndex",
    "Orientation",
    "Shape",
    "Tile",
    "TileGrid",
    "Voxel",
    "VoxelSpace",
    "cells",
    "distinct",
    "hull_of",
    "whole_multiples",
]
