"""A labelled picture of sections, columns side by side, for `demo`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SCALE = 2
_GAP, _HEADER, _ROW_HEADER, _FOOTER = 12, 40, 30, 64
_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class PictureRow:
    """One section.

    Parameters
    ----------
    title : str
        Stands above it.
    raw : array (y, x), uint8
        Grey values.
    labels : sequence of array (y, x)
        Classes of each column after the first; 0 shows the raw.
    """

    title: str
    raw: np.ndarray
    labels: Sequence[np.ndarray]


def draw_picture(
    path: Path, columns: Sequence[str], rows: Sequence[PictureRow], classes: Sequence[tuple[str, str]], credit: str
) -> None:
    """Write a PNG: raw, then each label column blended over it, with the classes' colours named below.

    Parameters
    ----------
    columns : sequence of str
        Titles; the first is the raw's.
    classes : sequence of (name, colour)
        Colours as "#rrggbb", in the order of the classes.
    credit : str
        Source of the image.
    """
    height, width = (n * _SCALE for n in rows[0].raw.shape)
    size = (
        _GAP + len(columns) * (width + _GAP),
        _HEADER + len(rows) * (_ROW_HEADER + height + _GAP) + _FOOTER,
    )
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    large, small = _font(22), _font(16)
    for number, title in enumerate(columns):
        draw.text((_column(number, width) + width // 2, _HEADER // 2), title, _INK, large, anchor="mm")
    palette = _palette([colour for _, colour in classes])
    for number, row in enumerate(rows):
        top = _HEADER + number * (_ROW_HEADER + height + _GAP)
        draw.text((_GAP, top + _ROW_HEADER // 2), row.title, _INK, small, anchor="lm")
        for place, labels in enumerate((np.zeros_like(row.raw), *row.labels)):
            cell = Image.fromarray(coloured(row.raw, labels, palette)).resize((width, height), Image.Resampling.NEAREST)
            picture.paste(cell, (_column(place, width), top + _ROW_HEADER))
    _legend(draw, classes, credit, size[1] - _FOOTER + 4, small)
    picture.save(path)


def coloured(raw: np.ndarray, labels: np.ndarray, palette: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """Grey values with the classes' colours over them, (y, x, 3) uint8."""
    grey = np.repeat(raw[..., None], 3, axis=-1).astype(np.float32)
    tint = palette[np.minimum(labels, len(palette) - 1)].astype(np.float32)
    covered = (labels > 0)[..., None]
    return np.where(covered, (1 - strength) * grey + strength * tint, grey).astype(np.uint8)


def _palette(colours: Sequence[str]) -> np.ndarray:
    rgb = [tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in colours]
    return np.array([(0, 0, 0), *rgb], np.uint8)


def _column(number: int, width: int) -> int:
    return _GAP + number * (width + _GAP)


def _legend(draw: ImageDraw.ImageDraw, classes: Sequence[tuple[str, str]], credit: str, top: int, font: _Font) -> None:
    left = _GAP
    for name, colour in classes:
        draw.rectangle((left, top, left + 18, top + 18), colour)
        draw.text((left + 26, top + 9), name, _INK, font, anchor="lm")
        left += 26 + int(draw.textlength(name, font)) + 30
    draw.text((_GAP, top + 42), credit, _INK, font, anchor="lm")


def _font(size: int) -> _Font:
    """Pillow's own font: at this size where Pillow was built with FreeType, small otherwise."""
    try:
        return ImageFont.load_default(size)
    except (ImportError, OSError):
        return ImageFont.load_default()
