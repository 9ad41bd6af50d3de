"""Metadata in which any value may be missing or another: a container opens or is refused in one sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.opening import open_volume
from tests.support.stores import write_json, write_webknossos
from tests.volumes import files
from tests.volumes.files import image

AXES = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
TRANSFORM = {"axes": ["z", "y", "x"], "scale": [40, 4, 4], "translate": [0, 0, 0], "units": ["nm"] * 3}
VALUES = (
    None, True, 0, -1, -0.5, 1e-300, float("inf"), float("nan"), 2**70, "", "x", "1", "..", "../../etc", "nm", "|u1",
    [], [1], [[1, 2], [3]], [None] * 3, ["z", "y", "x"], ["x"] * 3, [0, 0, 0], {}, {"a": 1}, {"name": "q"},
)  # fmt: skip


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*above, key)
        yield from places(value[key], (*above, key))


def damaged(text: str, rng: random.Random) -> str:
    """A document with one value left out or put in place of another."""
    document = json.loads(text)
    *above, last = rng.choice(list(places(document)))
    owner = document
    for key in above:
        owner = owner[key]
    if isinstance(owner, dict) and rng.random() < 0.2:
        del owner[last]
    else:
        owner[last] = rng.choice(VALUES)
    return json.dumps(document)


def write(kind: str, folder: Path) -> Path:
    if kind == "webknossos":
        return write_webknossos(folder, image(), n_mags=2)
    if kind == "precomputed":
        return files.write_precomputed(folder, image()[None], 2)
    if kind == "n5":
        files.write_n5(folder, image(), "em/s0", {"resolution": [4, 4, 40], "transform": TRANSFORM})
        multiscales = [{"datasets": [{"path": "s0", "transform": TRANSFORM}]}]
        write_json(folder / "em" / "attributes.json", {"multiscales": multiscales, "scales": [[1, 1, 1]]})
        return folder
    return files.write_ome_zarr(folder, [image()], kind, AXES, [[40, 4, 4]], [1, 2, 3])


def refusal(folder: Path) -> str:
    """Why a container does not open; empty where it does."""
    try:
        open_volume(folder)
    except VolumeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["0.4", "0.5", "n5", "precomputed", "webknossos"])
def test_a_damaged_container_opens_or_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    folder = write(kind, tmp_path / "a")
    named = (".zarray", ".zattrs", "info")
    metadata = sorted(p for p in folder.rglob("*") if p.is_file() and (p.suffix == ".json" or p.name in named))
    metadata = [path for path in metadata if list(places(json.loads(path.read_text())))]
    rng, n_refused = random.Random(0), 0
    for _ in range(60):
        path = rng.choice(metadata)
        whole = path.read_text()
        path.write_text(damaged(whole, rng))
        if message := refusal(folder):
            n_refused += 1
            assert "\n" not in message
            assert str(folder) in message
        path.write_text(whole)
    assert 0 < n_refused < 60
    open_volume(folder)
