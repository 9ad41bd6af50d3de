"""The XML of BigDataViewer and BigStitcher: setups, time points, voxel sizes and places of views."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Shape
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, stated_origin, unit_nm

_N5_VIEW = re.compile(r"(.*?)/?setup(\d+)/timepoint(\d+)/s(\d+)")
_MOST_TIMES = 10**6
_CELLS = re.compile(r"t(\d+)/s(\d+)/(\d+)/cells")


@dataclass(frozen=True)
class Setup:
    """A channel, angle or tile of the data.

    Parameters
    ----------
    size_xyz : tuple of int
        Voxels along x, y, z; empty where the XML does not say.
    voxel_size_xyz : tuple of float
        In `unit`; empty where the XML does not say.
    channel : str
        Name or number of the channel.
    others : tuple of str
        Angle, illumination and tile.
    """

    number: int
    name: str
    size_xyz: tuple[int, ...]
    voxel_size_xyz: tuple[float, ...]
    unit: str
    channel: str = ""
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of its group in the HDF5 file."""
        return f"s{self.number:02d}"


@dataclass(frozen=True)
class ZarrImage:
    """Where a view lies in a Zarr: the group of an OME-Zarr image, and its channel and time point there."""

    path: str
    channel: int = 0
    time: int = 0


@dataclass(frozen=True)
class SpimData:
    """What an XML describes.

    Parameters
    ----------
    loader : str
        Kind of the data, as ``bdv.hdf5``.
    data : Path
        The file or folder of the voxels.
    affines : dict
        Of a time point and a setup, from voxels (x, y, z) to the world, (3, 4).
    missing : frozenset
        Time points and setups that were not taken.
    images : dict
        Of a time point and a setup, where they are images of a Zarr.
    """

    path: Path
    loader: str
    data: Path
    setups: tuple[Setup, ...]
    times: tuple[int, ...]
    affines: dict[tuple[int, int], np.ndarray] = field(compare=False)
    missing: frozenset[tuple[int, int]] = frozenset()
    images: dict[tuple[int, int], ZarrImage] = field(default_factory=dict, compare=False)

    def setup(self, number: int) -> Setup | None:
        """The setup of a number."""
        return next((s for s in self.setups if s.number == number), None)

    def first_time(self, setup: Setup) -> int:
        """The first time point that a setup has; the first of all where every one is missing."""
        return next((time for time in self.times if (time, setup.number) not in self.missing), self.times[0])

    def space(self, setup: Setup, time: int, factors_xyz: tuple[float, ...] = (1.0, 1.0, 1.0)) -> FoundSpace:
        """Voxel size and origin of a view, at a level that is coarser by so much along x, y, z."""
        unit, size = unit_nm(setup.unit), np.array(setup.voxel_size_xyz)
        start, place_notes = self._place(setup, time)
        if unit is None or len(size) != 3:
            described = f"{setup.voxel_size_xyz} {setup.unit}".strip()
            return FoundSpace.nothing(
                f"{self.path.name} gives the voxel size {described}, which is no length; it is not known.",
                place_notes=place_notes,
            )
        factors = np.array(factors_xyz)
        origin = ((np.zeros(3) if start is None else start) + (factors - 1) / 2) * size * unit
        return found_space(
            (size * factors * unit)[::-1].tolist(),
            "BigDataViewer XML",
            stated_origin(origin[::-1].tolist()),
            place_notes=place_notes,
        )

    def _place(self, setup: Setup, time: int) -> tuple[np.ndarray | None, list[str]]:
        """Place of the first voxel in voxels along x, y, z, if there is one, and notes on the orientation."""
        affine = self.affines.get((time, setup.number))
        if affine is None or np.linalg.det(affine[:, :3]) == 0:
            return None, []
        notes = []
        off = affine[:, :3] - np.diag(np.diag(affine[:, :3]))
        if np.abs(off).max() > 1e-3 * np.abs(affine[:, :3]).max() or (np.diag(affine[:, :3]) < 0).any():
            notes.append(f"{self.path.name} turns, shears or flips the view; the voxels are read as they are stored.")
        # Along the axes of the array, whatever the unit of the world is.
        return np.linalg.solve(affine[:, :3], affine[:, 3]), notes


def spim_data(path: Path) -> SpimData:
    """Read an XML.

    Raises
    ------
    VolumeError
        If the file is no XML, none of BigDataViewer, or lacks what its kind must have.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise VolumeError(f"{path} is not a whole XML file: {error}.", "Copy it again.") from error
    loader = root.find("SequenceDescription/ImageLoader")
    if root.tag != "SpimData" or loader is None:
        raise VolumeError(
            f"{path} is an XML file, but not one of BigDataViewer or BigStitcher (<SpimData>).",
            "Open the file with the voxels itself.",
        )
    try:
        return _understood(path, root, loader)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise VolumeError(
            f"{path} cannot be understood: {error}.", "Check that BigDataViewer opens it, and save it there again."
        ) from error


def _understood(path: Path, root: ElementTree.Element, loader: ElementTree.Element) -> SpimData:
    sequence = root.find("SequenceDescription")
    assert sequence is not None
    base = (path.parent / (root.findtext("BasePath") or ".")).resolve()
    place = next((e for e in loader if e.tag in ("hdf5", "n5", "zarr")), None)
    named = (place.text or "").strip() if place is not None else ""
    is_relative = place is None or place.get("type", "relative") == "relative"
    setups = tuple(_setups(sequence))
    if not setups:
        raise ValueError("it lists no setups")
    missing = {
        (int(e.get("timepoint", "0")), int(e.get("setup", "0"))) for e in sequence.findall("MissingViews/MissingView")
    }
    affines = {
        (int(e.attrib["timepoint"]), int(e.attrib["setup"])): _affine(e)
        for e in root.findall("ViewRegistrations/ViewRegistration")
    }
    data = base / named if is_relative else Path(named)
    times, kind = tuple(_times(sequence)), loader.get("format", "")
    return SpimData(path, kind, data, setups, times, affines, frozenset(missing), dict(_images(loader)))


def _images(loader: ElementTree.Element) -> Iterator[tuple[tuple[int, int], ZarrImage]]:
    """The images of a Zarr, in the spelling of either version of the format."""
    for element in loader.findall("zgroups/zgroup"):
        key = (int(element.get("tp") or element.get("timepoint") or "0"), int(element.attrib["setup"]))
        path = (element.get("path") or element.findtext("path") or "").strip()
        indices = [int(n) for n in (element.get("indicies") or element.get("indices") or "").split()]
        channel, time = (*indices, 0, 0)[:2]
        yield key, ZarrImage(path, channel, time)


def _setups(sequence: ElementTree.Element) -> Iterator[Setup]:
    names = {
        (group.get("name"), item.findtext("id")): item.findtext("name") or ""
        for group in sequence.findall("ViewSetups/Attributes")
        for item in group
    }
    for element in sequence.findall("ViewSetups/ViewSetup"):
        number = int(element.findtext("id") or "")
        attributes = {e.tag: (e.text or "").strip() for e in element.findall("attributes/*")}
        channel = attributes.get("channel", "")
        yield Setup(
            number,
            (element.findtext("name") or "").strip(),
            tuple(int(n) for n in (element.findtext("size") or "").split()),
            tuple(numbers_of((element.findtext("voxelSize/size") or "").split())),
            (element.findtext("voxelSize/unit") or "").strip(),
            names.get(("channel", channel), "") or channel,
            tuple(f"{tag} {value}" for tag, value in sorted(attributes.items()) if tag != "channel"),
        )


def _times(sequence: ElementTree.Element) -> list[int]:
    """The numbers of the time points: a range, a list, or a pattern as ``0-3, 7``."""
    points = sequence.find("Timepoints")
    if points is None:
        return [0]
    if points.get("type") == "range":
        return _numbers(points.findtext("first") or "0", points.findtext("last") or "0")
    if points.get("type") == "list":
        return [int(e.findtext("id") or "0") for e in points.findall("Timepoint")] or [0]
    numbers: list[int] = []
    for part in (points.findtext("integerpattern") or "0").split(","):
        first, _, last = part.partition(":")[0].strip().partition("-")
        numbers += _numbers(first, last or first)
    return numbers


def _numbers(first: str, last: str) -> list[int]:
    numbers = range(int(first), int(last) + 1)
    if not 0 < len(numbers) <= _MOST_TIMES:
        raise ValueError(f"its time points go from {first} to {last}")
    return list(numbers)


def _affine(registration: ElementTree.Element) -> np.ndarray:
    """All transforms of a view, the last of the list first."""
    whole = np.eye(4)
    for element in registration.findall("ViewTransform/affine"):
        numbers = [float(v) for v in (element.text or "").split()]
        whole = whole @ np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])
    return whole[:3]


def view_of_dataset(dataset: str) -> tuple[int, int, int] | None:
    """Time point, setup and level of a dataset of BigDataViewer's HDF5, ``t00000/s00/0/cells``."""
    match = _CELLS.fullmatch(dataset.strip("/"))
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def view_of_array(path: str) -> tuple[str, tuple[int, int, int]] | None:
    """Where BigDataViewer's N5 lies, and time point, setup and level of an array, ``setup0/timepoint0/s0``."""
    match = _N5_VIEW.fullmatch(path.strip("/"))
    return None if match is None else (match[1], (int(match[3]), int(match[2]), int(match[4])))


def space_beside(data: Path, time: int, number: int, level: int, factors_xyz: Sequence[float]) -> FoundSpace:
    """The space of a view in an HDF5 file or N5 folder, from the XML beside it.

    Parameters
    ----------
    time, number, level : int
        Time point, setup and level.
    factors_xyz : sequence of float
        By how much the level is coarser than level 0; empty where it is not known.
    """
    described = _xml_beside(data)
    setup = described.setup(number) if described else None
    if described is None or setup is None or not factors_xyz:
        coarser = " x ".join(f"{f:g}" for f in factors_xyz)
        relative = f" Level {level} is coarser than level 0 by {coarser} (x, y, z)." if level and factors_xyz else ""
        return FoundSpace.nothing(
            f"BigDataViewer keeps the voxel size in its XML, and no {data.with_suffix('.xml').name} with setup "
            f"{number} is beside {data.name}; it is not known.{relative}"
        )
    return described.space(setup, time, tuple(factors_xyz))


def _xml_beside(data: Path) -> SpimData | None:
    """The XML of the same name beside the data; none where there is none or it is of another kind."""
    path = data.with_suffix(".xml")
    if not path.is_file():
        return None
    try:
        return spim_data(path)
    except VolumeError:
        return None


def shape_zyx(setup: Setup) -> Shape | None:
    """Lengths along z, y, x that the XML gives."""
    if len(setup.size_xyz) != 3:
        return None
    x, y, z = setup.size_xyz
    return (z, y, x)
