"""Relations between object labels: ids with a meaning of their own, and ids that are known to be different objects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.files import write_text_durably

BACKGROUND = 0xFFFFFFFF
"""Label in a store of objects for no object. 0 is not annotated, any other number but `OTHER` an object's id."""
OTHER = 0xFFFFFFFE
"""Label in a store of objects for an unknown thing that is none of the labelled objects."""

_FILE = "said.json"


@dataclass(frozen=True)
class ObjectRelations:
    """Ids of a store that are known to be different objects; of all other pairs nothing is known.

    A merge of 3 and 4 does not mean that either differs from 5.

    Parameters
    ----------
    whole : frozenset of int
        Objects that are known to their last voxel: they differ from everything else.
    painted : frozenset of int
        Objects painted by hand: they differ from one another.
    pairs : frozenset of (int, int)
        Objects that were cut from one another, the smaller id first.
    """

    whole: frozenset[int] = frozenset()
    painted: frozenset[int] = frozenset()
    pairs: frozenset[tuple[int, int]] = frozenset()

    def apart(self, ids: np.ndarray) -> np.ndarray:
        """Whether two of some ids are known to be different objects, bool of shape (n, n), symmetric.

        `BACKGROUND` differs from every object, `OTHER` from those that are whole.
        """
        objects = (ids != 0) & (ids != BACKGROUND) & (ids != OTHER)
        whole, painted = _among(ids, self.whole) & objects, _among(ids, self.painted) & objects
        known = objects | (ids == OTHER)
        found = (whole[:, None] & known) | (painted[:, None] & painted) | ((ids == BACKGROUND)[:, None] & objects)
        place = {int(id): at for at, id in enumerate(ids)}
        for a, b in self.pairs:
            if a in place and b in place:
                found[place[a], place[b]] = True
        found |= found.T
        np.fill_diagonal(found, False)
        return found

    def save(self, folder: Path) -> None:
        """Write it into the folder of a store, in one step."""
        content = {"whole": sorted(self.whole), "painted": sorted(self.painted), "pairs": sorted(self.pairs)}
        write_text_durably(folder / _FILE, json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> ObjectRelations:
        """Read the relations in the folder of a store.

        Raises
        ------
        VolumeError
            If there are none, or they are damaged.
        """
        try:
            content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            pairs = frozenset((int(a), int(b)) for a, b in content["pairs"])
            return cls(frozenset(map(int, content["whole"])), frozenset(map(int, content["painted"])), pairs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VolumeError(
                f"The relations between the corrections in {folder} cannot be read: {error}.",
                "Delete the folder: they are collected again from the journal.",
            ) from error


def _among(ids: np.ndarray, chosen: Iterable[int]) -> np.ndarray:
    return np.isin(ids, np.fromiter(chosen, np.int64))
