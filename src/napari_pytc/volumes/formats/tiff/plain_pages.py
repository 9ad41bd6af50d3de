"""Stacks of files without a description: pages of one size and type, in the order of the file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tifffile

from napari_pytc.volumes.formats.tiff.stack import Frame, TiffStack, frame_of, odd_page_error, page_axes, spread_over
from napari_pytc.volumes.missing import numbers_text
from napari_pytc.volumes.spec import TiffSpec


@dataclass(frozen=True)
class PlainPages:
    """Pages of a file without a description, by their places in the file."""

    tiff: tifffile.TiffFile
    indices: Sequence[int]
    name: str

    def __call__(self, number: int) -> Any:
        """The page of a number."""
        return self.tiff.pages.get(self.indices[number], aspage=True)

    @property
    def is_secondary(self) -> bool:
        """Whether they are reduced copies or masks of other pages."""
        page = self(0)
        return bool(page.is_reduced or page.is_mask)

    def stack(self, notes: tuple[str, ...] = ()) -> TiffStack:
        """The pages as one image; of a single one, a section."""
        page = self(0)
        axes, lengths = page_axes(page), tuple(int(n) for n in page.shape)
        if len(self.indices) > 1 or "z" not in axes:
            axes, lengths = ("c" if "z" in axes else "z") + axes, (len(self.indices), *lengths)
        return TiffStack(axes, lengths, page, self, self.name, notes=notes)


def plain_stacks(tiff: tifffile.TiffFile, *notes: str) -> list[TiffStack]:
    """The pages by size and type, of a long file as its samples have them; each stack with the notes."""
    n = len(tiff.pages)
    samples = spread_over(n)
    found: list[Sequence[int]] = [*_by_frame(tiff, samples)]
    if len(found) == 1:
        found = [range(n)] if len(samples) < n else found
    elif len(samples) < n:
        found = [*_by_frame(tiff, range(n))]
    return [PlainPages(tiff, indices, str(number)).stack(notes) for number, indices in enumerate(found)]


def _by_frame(tiff: tifffile.TiffFile, indices: Iterable[int]) -> list[list[int]]:
    found: dict[tuple[Frame, bool], list[int]] = {}
    for index in indices:
        page = tiff.pages.get(index, aspage=True)
        if page.shape:
            is_secondary = bool(page.is_reduced or page.is_mask)
            found.setdefault((frame_of(page), is_secondary), []).append(index)
    return list(found.values())


def stand_alone(tiff: tifffile.TiffFile) -> bool:
    """Whether tifffile wrote the pages one by one: the description of each is that of itself alone."""
    for index in spread_over(len(tiff.pages)):
        page = tiff.pages.get(index, aspage=True)
        try:
            described = json.loads(page.description)
            shape = [int(n) for n in described["shape"]]
        except (ValueError, KeyError, TypeError):
            return False
        if math.prod(shape) != math.prod(page.shape):
            return False
    return True


def with_odd_pages(
    tiff: tifffile.TiffFile, chosen: TiffStack, own: PlainPages, others: list[TiffStack], spec: TiffSpec
) -> tuple[TiffStack, list[TiffStack]]:
    """The chosen pages with those of other frames between them, which are blank or an error; and the other stacks.

    Thumbnails, labels and smaller copies stand before or behind a stack, or say what they are.
    """
    first, last = own.indices[0], own.indices[-1]
    beside = [(stack, stack.page) for stack in others if isinstance(stack.page, PlainPages)]
    odd = sorted(i for _, p in beside if not p.is_secondary for i in p.indices if first < i < last)
    if not odd:
        return chosen, others
    indices = sorted([*own.indices, *odd])
    number_of = {index: number for number, index in enumerate(indices)}
    numbers = [number_of[i] for i in odd]
    if spec.missing_sections != "blank":
        page = tiff.pages.get(odd[0], aspage=True)
        kinds = ", ".join(f"{spec.path}:{stack.name} ({stack.text})" for stack in (chosen, *others))
        raise odd_page_error(spec.path, numbers[0], page, chosen.keyframe, kinds)
    which = "Section" if len(numbers) == 1 else "Sections"
    note = f"{which} {numbers_text(numbers)} read as blank: of another size or type than the others."
    kept = [stack for stack, p in beside if not set(p.indices) & set(odd)]
    mixed = PlainPages(tiff, indices, own.name)
    return replace(mixed.stack(), keyframe=chosen.keyframe, notes=(*chosen.notes, note)), kept
