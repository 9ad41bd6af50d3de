"""Inputs of a batch: files, folders and patterns as volumes, and the names of their outputs."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.files import plain_path
from napari_pytc.volumes.kvstore import is_url
from napari_pytc.volumes.opening import kind_of, split_dataset

STATE = ".napari-pytc-apply"
"""Folder beside the outputs: a note of each finished one, and what is left of one that is not finished."""
_PATTERN = re.compile(r"[*?\[]")
_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", ".zarr.zip", ".nii.gz")
_SECTIONS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class FoundInputs:
    """The volumes that words stand for, and what was assumed.

    Parameters
    ----------
    paths : tuple of str
        ``PATH[:DATASET]`` or a URL each, in order, none twice.
    notes : tuple of str
        What was assumed or left out, as sentences.
    """

    paths: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_inputs(words: Sequence[str], sections: bool = False) -> FoundInputs:
    """Find the volumes that files, folders and patterns name.

    A folder is a volume itself where it is a container (Zarr, N5, precomputed, ...), and with `sections`; else each
    file in it that can be opened is one. A pattern is matched against files and folders; what stands behind a colon is
    the dataset in each of them, as in ``data/*.h5:raw``.

    Raises
    ------
    InvalidInput
        If a word names nothing.
    """
    found: list[str] = []
    notes: list[str] = []
    for word in words:
        found += _matches(word, sections, notes)
    unique = list(dict.fromkeys(found))
    if len(unique) < len(found):
        twice = [path for path, n in Counter(found).items() if n > 1]
        notes.append(f"{_listed(twice)} {'is' if len(twice) == 1 else 'are'} named more than once and done once.")
    return FoundInputs(tuple(unique), tuple(notes))


def without_outputs(found: FoundInputs) -> FoundInputs:
    """Leave out what this command wrote itself, as where the outputs lie in the folder of the inputs; with a note.

    Raises
    ------
    InvalidInput
        If nothing is left.
    """
    written = [path for path in found.paths if _is_output(path)]
    if not written:
        return found
    told = f"Left out, as results of apply themselves: {_listed([_file_name(path) for path in written])}."
    if len(written) == len(found.paths):
        raise InvalidInput(
            f"There is nothing to apply the model to. {told}",
            "Name the images that they were made of, or take the results with --include-results.",
        )
    told = f"{told} --include-results takes them."
    return FoundInputs(tuple(path for path in found.paths if path not in written), (*found.notes, told))


def check_outputs(folder: Path, paths: Sequence[str], names: Sequence[str]) -> None:
    """Refuse outputs that would replace an input, or would lie in a folder that is one.

    Parameters
    ----------
    folder : Path
        Folder of the outputs.
    paths, names : sequence of str
        Inputs, and the name of the output of each.

    Raises
    ------
    InvalidInput
        If one of the outputs is a file that is read, or the folder is a container or a folder of sections.
    """
    read = {str(Path(split_dataset(path)[0]).resolve()): path for path in paths if not is_url(path)}
    for place, path in read.items():
        if Path(place).is_dir() and folder.resolve().is_relative_to(place):
            raise InvalidInput(
                f"The outputs would lie in {folder}, but {path} is one of the inputs as a whole.",
                "Choose a folder outside of it with --out.",
            )
    for path, name in zip(paths, names, strict=True):
        replaced = read.get(str((folder / name).resolve()))
        if replaced is not None:
            raise InvalidInput(
                f"The output of {path} would be {folder / name}, which is one of the inputs itself.",
                "Choose another folder with --out, or leave that file out of the inputs.",
            )


def output_names(paths: Sequence[str], what: str, suffix: str) -> tuple[list[str], list[str]]:
    """The name of each volume's output, all different, and notes on those that would have been the same.

    ::

        a/cells.h5:raw      -> cells_classes.tif
        a/1.tif, b/1.tif    -> a-1_classes.tif, b-1_classes.tif

    Parameters
    ----------
    suffix : str
        With its dot.
    """
    stems = [_stem(path) for path in paths]
    names, notes = list(stems), []
    for clashing in [stem for stem, n in Counter(_folded(stems)).items() if n > 1]:
        which = [k for k, stem in enumerate(stems) if stem.casefold() == clashing]
        for longer in (_with_folder, _with_dataset):
            candidates = [longer(paths[k], stems[k]) for k in which]
            if len(set(_folded(candidates))) == len(which):
                break
        else:
            candidates = [f"{stems[k]}-{number}" for number, k in enumerate(which, start=1)]
        for k, name in zip(which, candidates, strict=True):
            names[k] = name
        notes.append(
            f"The outputs of {_listed([paths[k] for k in which])} would have the same name: they are called "
            f"{_listed([f'{name}_{what}{suffix}' for name in candidates])}."
        )
    counts = Counter(_folded(names))
    unique = [f"{name}-{k + 1}" if counts[name.casefold()] > 1 else name for k, name in enumerate(names)]
    return [f"{name}_{what}{suffix}" for name in unique], notes


def _matches(word: str, sections: bool, notes: list[str]) -> list[str]:
    if is_url(word):
        return [word]
    path, dataset = split_dataset(word)
    behind = f":{dataset}" if dataset else ""
    if _PATTERN.search(path) and not Path(path).exists():
        matched = sorted(glob.glob(str(Path(path).expanduser()), recursive=True))
        if not matched:
            raise InvalidInput(
                f"No file or folder matches {word}.", "Check the pattern; * does not cross folders, ** does."
            )
        return [f"{plain_path(one)}{behind}" for one in matched]
    place = plain_path(path)
    if not place.exists():
        raise InvalidInput(
            f"There is no file or folder {path}.", "Check the path; a dataset inside a file is written PATH:DATASET."
        )
    if not place.is_dir() or behind or sections or kind_of(str(place)) == "chunked":
        return [f"{place}{behind}"]
    return _files_of(place, notes)


def _is_output(path: str) -> bool:
    """Whether a batch noted a file or container as one of its outputs."""
    if is_url(path):
        return False
    place = Path(split_dataset(path)[0])
    return (place.parent / STATE / f"{place.name}.json").is_file()


def _files_of(folder: Path, notes: list[str]) -> list[str]:
    """The volumes in a folder, each a file or a container."""
    found: list[Path] = []
    left_out: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        (found if _is_volume(entry) else left_out).append(entry)
    if not found:
        raise InvalidInput(
            f"The folder {folder} holds no file that can be opened.", "Name the files, or a folder that holds them."
        )
    if sum(entry.suffix.lower() in (*_SECTIONS, ".tif", ".tiff") for entry in found) > 1:
        notes.append(
            f"{folder} holds {len(found)} files: each is a volume of its own. With --sections the folder is one volume "
            "of numbered sections."
        )
    if left_out:
        notes.append(f"Left out of {folder}, as no volume: {_listed([entry.name for entry in left_out])}.")
    return [str(entry) for entry in found]


def _is_volume(entry: Path) -> bool:
    try:
        return kind_of(str(entry)) == "chunked" if entry.is_dir() else bool(kind_of(str(entry)))
    except VolumeError:
        return False


def _stem(path: str) -> str:
    """Name of a volume's file without its folder and suffix."""
    name = _file_name(path)
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return _plain(name[: -len(suffix)])
    return _plain(Path(name).stem or name)


def _file_name(path: str) -> str:
    return split_dataset(path)[0].rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def _with_folder(path: str, stem: str) -> str:
    return _plain(f"{Path(split_dataset(path)[0]).parent.name}-{stem}")


def _with_dataset(path: str, stem: str) -> str:
    dataset = split_dataset(path)[1]
    return _plain(f"{stem}-{dataset}") if dataset else stem


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "volume"


def _folded(names: Sequence[str]) -> list[str]:
    """Names as a file system compares them that does not tell upper from lower case."""
    return [name.casefold() for name in names]


def _listed(names: Sequence[str], most: int = 4) -> str:
    rest = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown
