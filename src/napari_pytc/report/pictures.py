"""Pictures of one section as inline PNG: raw, strokes, prediction, segments."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from napari_pytc.volumes.channel_colours import added_colours, channel_colour
from napari_pytc.volumes.channels import ClassRole, roles_of
from napari_pytc.volumes.image import channel_titles
from napari_pytc.volumes.zarr_output import ChunkedArray, open_ome_zarr

WIDTH = 384
"""Voxels of a section that are shown, at most."""
_SEGMENTS, _OBJECTS, _MAP = 0.55, 0.6, 0.6
"""Opacity of colours over the raw."""


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Parameters
    ----------
    title : str
        Caption of the picture.
    data : str
        A ``data:`` URI.
    """

    title: str
    data: str


def pictures(session: Session) -> tuple[list[Picture], Box | None]:
    """Pictures of raw, strokes, objects, prediction and segments through the middle of the painted voxels.

    Data that cannot be read, such as an image that was moved, are left out.

    Returns
    -------
    tuple
        The pictures, and the box of one section that they show; None where there is no raw to show.
    """
    box = _around(session, middle_of_painting(session))
    try:
        image = session.image.source
        raw = image.read(box)[:, 0]
    except PytcError:
        return [], None
    titles = channel_titles(image)
    names = [channel_colour(k, image.n_channels, title) for k, title in enumerate(titles)]
    grey = added_colours(np.stack([_stretched(channel) for channel in raw]), names)
    of_channels = ", ".join(f"{title} in {name}" for title, name in zip(titles, names, strict=True))
    found = [Picture(f"Raw: {of_channels}" if image.n_channels > 1 else "Raw", _png(grey))]
    colours = np.array([_rgb("#000000"), *(_rgb(one.colour) for one in session.classes.records())])
    strokes = session.strokes.store.read(box)[0]
    if strokes.any():
        known = np.where(strokes < len(colours), strokes, 0)
        found.append(Picture("Strokes", _png(_over(grey, colours[known], 0.85 * (known > 0)))))
    objects = session.objects.store.read(box)[0]
    if objects.any():
        found.append(Picture("Objects to learn from", _png(_over(grey, _by_id(objects), _OBJECTS * (objects > 0)))))
    prediction = _prediction(session)
    if prediction is not None:
        found += _of_prediction(grey, prediction, box, colours)
    try:
        document = session.proofreader.document
        segments = None if document is None else document.segments(box)[0]
    except PytcError:
        segments = None
    if segments is not None and segments.any():
        found.append(Picture("Segments", _png(_over(grey, _by_id(segments), _SEGMENTS * (segments > 0)))))
    return found, box


def middle_of_painting(session: Session) -> tuple[int, int, int]:
    """The painted voxel nearest to the middle of the section that holds most of what was painted to train on.

    Truth in held-out boxes counts where nothing else was painted; the middle of the volume where nothing was.
    """
    shape = session.strokes.store.shape
    place = _most_painted(session, session.held_out.boxes) or _most_painted(session, ()) or (n // 2 for n in shape)
    z, y, x = place
    return (z, y, x)


def _most_painted(session: Session, hidden: Sequence[Box]) -> tuple[int, int, int] | None:
    most, place = 0, None
    for store in (session.strokes.store, session.objects.store):
        for box in (chunk.box for chunk in store.chunks()):
            labels = store.read(box)
            for held_out in hidden:
                labels[held_out.intersect(box).relative_to(box.start).slices] = 0
            of_section = np.count_nonzero(labels, axis=(1, 2))
            if of_section.max() > most:
                section, most = int(of_section.argmax()), int(of_section.max())
                voxels = np.argwhere(labels[section])
                y, x = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
                place = (box.start[0] + section, box.start[1] + int(y), box.start[2] + int(x))
    return place


def _around(session: Session, voxel: tuple[int, int, int]) -> Box:
    shape = session.strokes.store.shape
    lengths = (1, min(WIDTH, shape[1]), min(WIDTH, shape[2]))
    start = [min(max(0, v - n // 2), whole - n) for v, n, whole in zip(voxel, lengths, shape, strict=True)]
    return Box.at(start, lengths)


def _prediction(session: Session) -> ChunkedArray | None:
    """The prediction of the model in use where it has one, else the newest."""
    used = next((model.id for model in session.models.records() if model.active), None)
    records = session.predictions.records()
    wanted = [record for record in records if record.model == used] or records
    try:
        return open_ome_zarr(wanted[-1].folder) if wanted else None
    except PytcError:
        return None


def _of_prediction(grey: np.ndarray, prediction: ChunkedArray, box: Box, colours: np.ndarray) -> list[Picture]:
    try:
        found = prediction.read(box)[:, 0].astype(np.float32) / 255
        roles = roles_of(prediction.attributes, prediction.channels)
    except PytcError:
        return []
    if not found.any():
        return []
    if len(roles) < len(colours) and all(isinstance(role, ClassRole) for role in roles):
        best = found.argmax(axis=0)
        shown = _over(grey, colours[best + 1], _MAP * found.max(axis=0))
        return [Picture("Prediction: the most probable class", _png(shown))]
    # Affinities, boundaries and distances: the least of the channels is what keeps objects apart.
    known = [k for k, role in enumerate(roles) if role.title != "boundary"] or [0]
    least = found[known].min(axis=0)
    return [Picture("Prediction: the least of its channels", _png(np.repeat(_bytes(least)[..., None], 3, axis=2)))]


def _stretched(raw: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(raw.astype(np.float32))
    low, high = np.percentile(values, (0.5, 99.5))
    return _bytes((values - low) / max(float(high - low), 1e-6))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(255 * values, 0, 255).astype(np.uint8)


def _over(grey: np.ndarray, colours: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours laid over grey values, each voxel with its share."""
    share = np.asarray(share, np.float32)[..., None]
    return (grey * (1 - share) + colours * share).astype(np.uint8)


def _by_id(ids: np.ndarray) -> np.ndarray:
    """A colour for each id: neighbouring ids are far apart in hue."""
    unique, places = np.unique(ids, return_inverse=True)
    table = [
        colorsys.hsv_to_rgb(int(one) * 0.6180339887498949 % 1.0, (0.85, 0.55)[int(one) % 2], 1.0) for one in unique
    ]
    return (255 * np.array(table))[places.reshape(ids.shape)]


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return (red, green, blue)


def _png(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    if max(image.size) < WIDTH:  # small volumes are to be seen too
        factor = WIDTH // max(image.size)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
