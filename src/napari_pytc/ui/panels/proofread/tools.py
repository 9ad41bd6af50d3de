"""Tools and actions for segments on the canvas: one table for buttons, keys, menus and the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ToolName = Literal["look", "join", "line", "paint", "erase", "new"]


@dataclass(frozen=True)
class Tool:
    """A use of the left mouse button on the segments.

    Parameters
    ----------
    key : str
        In napari's notation, bound on the layers of segments.
    tip : str
        Its effect, for tooltips and the documentation.
    hint : str
        The next step, shown while it is chosen.
    draws : bool
        Whether dragging draws; else it moves the camera.
    paints : bool
        Whether a stroke is as thick as the brush, and an edit as soon as the button is released.
    """

    name: ToolName
    title: str
    key: str
    tip: str
    hint: str
    draws: bool = True
    paints: bool = False


@dataclass(frozen=True)
class Action:
    """An action that is done at once, on the selection or the proposal."""

    name: str
    title: str
    key: str
    tip: str


TOOLS = (
    Tool(
        "look",
        "Look and select",
        "Z",
        "Drag moves the view, a click selects a segment, Shift-click one more.",
        "Click a segment to select it. Right-click it for more.",
        draws=False,
    ),
    Tool(
        "join",
        "Merge or split",
        "M",
        "One colour merges the segments that it touches; two or more colours cut the segment between them. "
        "Click, or draw through it.",
        "Touch the segments that belong together. To cut one instead, mark its other part in another colour: "
        "hold Shift, or press X.",
    ),
    Tool(
        "line",
        "Split along line",
        "K",
        "A line drawn right across a segment cuts it there.",
        "Draw a line right across the segment, from outside to outside.",
    ),
    Tool(
        "paint",
        "Paint",
        "P",
        "Adds voxels to the selected segment, or to the one that the stroke begins in.",
        "Draw on the canvas; it is kept when you let go. Without a selection, begin in the segment that is to grow.",
        paints=True,
    ),
    Tool(
        "erase",
        "Erase",
        "E",
        "Takes voxels away from the selected segment, or from all but locked ones if none is selected.",
        "Draw over what does not belong there; it is kept when you let go.",
        paints=True,
    ),
    Tool(
        "new",
        "New segment",
        "N",
        "Paints a segment that was not there; the next strokes then add to it.",
        "Draw the first part of the new segment.",
        paints=True,
    ),
)
"""The tools, in the order of their buttons."""

ACTIONS = (
    Action("commit", "Apply", "Enter", "Make the edit that is shown in outline."),
    Action("drop", "Drop", "Escape", "Forget marks and outline; pressed again, put the tool away."),
    Action("colour", "Next colour", "X", "Mark in the next colour: each colour becomes a segment of its own."),
    Action("smaller", "Smaller brush", "[", "Make the brush smaller."),
    Action("larger", "Larger brush", "]", "Make the brush larger."),
    Action("lock", "Lock", "L", "Lock the selected segments as done, so that no edit changes them; or unlock them."),
    Action("delete", "Delete", "D", "Take the selected segments out of the result; they can be restored."),
    Action("restore", "Restore", "R", "Bring a deleted segment back: click where it was first."),
    Action("class", "Set class", "C", "Give the selected segments the class that is chosen beside it."),
    Action("fill", "Fill holes", "F", "Fill the holes of the selected segment."),
    Action("smooth", "Smooth", "O", "Round the surface of the selected segment off."),
    Action(
        "islands",
        "Remove islands",
        "H",
        "Of the selected segment keep the largest part; the others go to the segments that they touch most.",
    ),
    Action("go", "Go to", "G", "Fly to the selected segment."),
    Action(
        "skeleton",
        "Skeleton",
        "T",
        "Show the centre lines of the selected segments, with length, branch and end points; or hide them. All of them "
        "are seen in 3D, in a section those that lie in it.",
    ),
    Action("undo", "Undo", "Control-Z", "Take the last edit back, of segments or of strokes."),
    Action("redo", "Redo", "Control-Shift-Z", "Make the edit again that was taken back last."),
    Action("next", "Next place", "J", "Fly to the place that is to be looked at, again or first."),
    Action("merge", "Merge", "Y", "Review: yes, one object. Merges the two segments and goes on."),
    Action("leave", "Leave", "U", "Review: it is right as it is. Leaves it and goes on."),
    Action("skip", "Skip", "I", "Review: not now. It comes again at the end."),
)
"""What is done with the selected segments, in the order of the buttons."""
COLOURS = ("#00e5ff", "#ff9100", "#ff4df0", "#aeea00", "#ffffff")
"""Colours of marks; each stands for a segment that is to be."""


def tool(name: str) -> Tool:
    """A tool by its name."""
    return next(found for found in TOOLS if found.name == name)


def action(name: str) -> Action:
    """An action by its name."""
    return next(found for found in ACTIONS if found.name == name)


def key_text(key: str) -> str:
    """A key as text: "Ctrl+Shift+Z"."""
    return key.replace("Control", "Ctrl").replace("-", "+").replace("Escape", "Esc")
