"""Held-out boxes, and what may be painted in them: only what somebody says on purpose to be true."""

from __future__ import annotations

from psygnal import Signal

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.session.core import SessionCore


class HoldingOut(SessionCore):
    """The part of a session that keeps boxes out of training.

    What is annotated in a held-out box is truth: it scores models and teaches nothing. A stroke that is meant to teach
    would change the scores instead, so that whoever paints leaves out `protected` boxes. Truth gets there in three
    ways: it was painted before the box was held out, it is imported with `annotate`, or painted after `say_truth`.
    """

    held_out_changed = Signal(tuple)
    protected_changed = Signal()
    painting_refused = Signal(Box)
    """`paint` left out the voxels of this held-out box."""

    _said: frozenset[Box] = frozenset()

    @property
    def protected(self) -> tuple[Box, ...]:
        """The held-out boxes in which nothing is painted: all but those in which truth is being said; any thread."""
        return tuple(box for box in self.held_out if box not in self._said)

    def hold_out(self, box: Box) -> None:
        """Keep a box out of training; what is annotated in it serves the scores."""
        self.check_writable()
        self._check_box(box)
        if box not in self.held_out:
            self._save(held_out=(*self.held_out, box))
            self.held_out_changed.emit(self.held_out)

    def release(self, box: Box) -> None:
        """Give a held-out box back to training."""
        self.check_writable()
        self._check_held(box)
        self._said -= {box}
        self._save(held_out=tuple(held for held in self.held_out if held != box))
        self.held_out_changed.emit(self.held_out)

    def say_truth(self, box: Box, is_said: bool = True) -> None:
        """Let truth be painted in a held-out box, or no more; until the session is closed.

        Raises
        ------
        InvalidInput
            If the box is not held out.
        """
        self.check_writable()
        self._check_held(box)
        said = self._said | {box} if is_said else self._said - {box}
        if said != self._said:
            self._said = said
            self.protected_changed.emit()

    def _check_held(self, box: Box) -> None:
        if box not in self.held_out:
            held = "  ".join(map(str, self.held_out)) or "none"
            raise InvalidInput(f"The box {box} is not held out; held out: {held}.")
