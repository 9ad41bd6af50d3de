"""Held-out boxes, and where painting in them is allowed."""

from __future__ import annotations

from psygnal import Signal

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.session.project.volume_state import VolumeState


class HeldOutBoxes:
    """The boxes of a volume that no training may see.

    An annotation in a held-out box is ground truth: it scores models and trains none. A stroke that is meant as
    training data would change the scores instead, so that whoever paints leaves out `protected` boxes. Ground truth
    gets there in three ways: it was painted before the box was held out, it is imported, or it is painted after
    `allow_painting`.
    """

    changed = Signal(tuple)
    """Boxes were added or released; carries all held-out boxes."""
    protection_changed = Signal()
    """Painting in a held-out box was allowed or forbidden."""

    def __init__(self, state: VolumeState) -> None:
        self._state = state
        self._paintable: frozenset[Box] = frozenset()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All held-out boxes; any thread."""
        return self._state.record.held_out

    @property
    def protected(self) -> tuple[Box, ...]:
        """The held-out boxes in which nothing is painted: all but those of `allow_painting`; any thread."""
        return tuple(box for box in self.boxes if box not in self._paintable)

    def add(self, box: Box) -> None:
        """Keep a box out of training; its annotations score models."""
        self._state.check_writable()
        self._state.check_box(box)
        if box not in self.boxes:
            self._state.save(held_out=(*self.boxes, box))
            self.changed.emit(self.boxes)

    def release(self, box: Box) -> None:
        """Release a held-out box for training."""
        self._state.check_writable()
        self._check_held_out(box)
        self._paintable -= {box}
        self._state.save(held_out=tuple(held for held in self.boxes if held != box))
        self.changed.emit(self.boxes)

    def allow_painting(self, box: Box, is_allowed: bool = True) -> None:
        """Let ground truth be painted in a held-out box, or no more; until the session is closed.

        Raises
        ------
        InvalidInput
            If the box is not held out.
        """
        self._state.check_writable()
        self._check_held_out(box)
        paintable = self._paintable | {box} if is_allowed else self._paintable - {box}
        if paintable != self._paintable:
            self._paintable = paintable
            self.protection_changed.emit()

    def _check_held_out(self, box: Box) -> None:
        if box not in self.boxes:
            held_out = "  ".join(map(str, self.boxes)) or "none"
            raise InvalidInput(f"The box {box} is not held out; held out: {held_out}.")
