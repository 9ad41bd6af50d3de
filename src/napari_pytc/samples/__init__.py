"""Bundled samples of real data; the origin of each file is in ATTRIBUTION.md beside it."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.errors import InvalidInput

_FOLDER = Path(__file__).parent


def sample_names() -> tuple[str, ...]:
    """Names of the bundled samples."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.h5")))


def sample_path(name: str) -> Path:
    """The HDF5 file of a bundled sample.

    ``medulla`` holds `raw` (uint8), `classes` (uint8: 1 membrane, 2 inside, 0 open), `neurons` (uint32 instances) and
    `strokes` (uint8, classes of the few voxels that a simulated annotator painted), each of shape (64, 192, 192).

    Parameters
    ----------
    name : str
        One of `sample_names`.

    Raises
    ------
    InvalidInput
        No sample has this name.
    """
    if name not in sample_names():
        raise InvalidInput(
            f"There is no bundled sample named {name!r}.", f"The bundled samples are: {', '.join(sample_names())}."
        )
    return _FOLDER / f"{name}.h5"
