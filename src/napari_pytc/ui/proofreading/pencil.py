"""The mouse on the segments: clicks that select, strokes that mark or paint, the right button's menu."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.ui.port import Pointer
from napari_pytc.ui.predictions import once
from napari_pytc.ui.proofreading import orders
from napari_pytc.ui.proofreading.desk import Desk, desk_of
from napari_pytc.ui.proofreading.marks import Stroke
from napari_pytc.ui.proofreading.picking import Picked, Place, first_in_sight, pick, pick_place
from napari_pytc.ui.proofreading.sheet import Sheet
from napari_pytc.ui.proofreading.tools import COLOURS, ToolName
from napari_pytc.ui.segment_colours import colour_of

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.ui.workspace import Workspace

LEFT, RIGHT = 1, 2
CLICK_PX = 4.0
"""A button that is pressed and released within this much of the canvas was clicked."""
BRUSHES = (1, 2, 3, 5, 7, 9, 13, 19, 27, 39, 55, 79)
"""Diameters in voxels that the keys go through."""
_MARK_SHARE = 1 / 110
"""Of the view: how thick marks are drawn."""
_PAINT = len(COLOURS) + 1
"""The label of a stroke that paints; those before are of marks."""
_ERASED = "#ff3b30"
_READY_MS = 50
_HELP = "Z: select, M: merge or split, K: cut along a line, P: paint, J: next doubtful place, right-click: more"


class Pencil(QObject):
    """Turns what the mouse does on the layers of segments into what the desk does.

    Parameters
    ----------
    workspace : Workspace
        Its window.
    desk : Desk
        What is done with strokes and clicks.
    """

    menu_asked = Signal(object)
    """A `Picked` that was clicked with the right button."""
    changed = Signal()
    """Colour or brush is another one."""

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        super().__init__(desk)
        self._workspace, self.desk = workspace, desk
        self.colour = 0
        """Of the next mark: an index of `COLOURS`."""
        self.brush = 9
        """Diameter in voxels."""
        self._marks: list[tuple[int, list[Place]]] = []
        self._sheet: Sheet | None = None
        self._stroke: Stroke | None = None
        self._pressed: Pointer | None = None
        self._getting_ready = once(self, _READY_MS, self._get_ready)
        self._was_3d = workspace.viewer.is_3d()
        self._keys: dict[str, Callable[[], object]] = {}
        desk.tool_changed.connect(self._on_tool)
        desk.tool_chosen.connect(self.take_up)
        desk.selection_changed.connect(self._show_colours)
        desk.dropped.connect(self.clear)
        workspace.segments.document_changed.connect(self._on_document)
        workspace.session_changed.connect(self._on_session)
        stop = workspace.viewer.on_view_changed(self._on_view)
        workspace.jobs.closed.connect(stop)
        self._on_session()
        self._on_document()

    # ---- what there is

    @property
    def marks(self) -> list[tuple[int, list[Place]]]:
        """Marks in their order: the number of the colour, and the voxels."""
        return self._marks

    @property
    def seeds(self) -> dict[int, list[Place]]:
        """Marked voxels by the number of the colour."""
        found: dict[int, list[Place]] = {}
        for colour, places in self._marks:
            found.setdefault(colour, []).extend(places)
        return found

    def clear(self) -> None:
        """Forget all marks."""
        had = bool(self._marks) or self._stroke is not None
        self._marks, self._stroke, self.desk.n_marks, self.colour = [], None, 0, 0
        if self._sheet is not None:
            self._sheet.clear()
        if had:
            self.changed.emit()

    def next_colour(self) -> None:
        """Mark in the next colour."""
        self.choose_colour((self.colour + 1) % len(COLOURS))

    def choose_colour(self, number: int) -> None:
        """Mark in a colour, with the tool for marks."""
        if self.desk.tool.name != "join":
            self.desk.choose_tool("join")
        self.colour = number
        self.changed.emit()

    def step_brush(self, step: int) -> None:
        """Make the brush larger (1) or smaller (-1)."""
        if step > 0:
            self.choose_brush(next((b for b in BRUSHES if b > self.brush), BRUSHES[-1]))
        else:
            self.choose_brush(next((b for b in reversed(BRUSHES) if b < self.brush), BRUSHES[0]))

    def choose_brush(self, diameter: int) -> None:
        """Paint with a brush of a diameter in voxels."""
        self.brush = diameter
        self._on_tool()
        self.changed.emit()

    def bind(self, keys: dict[str, Callable[[], object]]) -> None:
        """Bind keys on the layers of segments, and on those that come."""
        self._keys = keys
        layers = self._workspace.layers
        for layer in () if layers is None else layers.segments.layers:
            self._workspace.viewer.bind_keys(layer, keys)

    # ---- the mouse

    def take(self, pointer: Pointer) -> None:
        """Something happened with the mouse."""
        if pointer.phase == "press":
            self._press(pointer)
        elif self._pressed is not None:
            if pointer.phase == "move":
                self._move(pointer)
            else:
                self._release(pointer)

    def _press(self, pointer: Pointer) -> None:
        self._pressed, self._stroke = pointer, None
        tool = self.desk.tool
        if pointer.button != LEFT or not tool.draws or pointer.voxel is None or pointer.far is not None:
            return
        document, sheet = self.desk.document, self._sheet
        if document is None or sheet is None:
            return
        if self.desk.proposal is not None and tool.name == "line":
            self.desk.forget()  # a line is drawn again, not further
        sheet.lay_out(self._colours())
        number, size_nm = self._number(pointer), document.space.voxel_size_nm
        self._stroke = Stroke(number, pointer.axis, self._diameter(pointer.axis), size_nm, sheet.shape)
        self._stroke.move_to(pointer.voxel)
        sheet.add(self._stroke)
        self.desk.n_marks += 1

    def _move(self, pointer: Pointer) -> None:
        if self._stroke is not None and self._sheet is not None and pointer.voxel is not None and pointer.far is None:
            self._stroke.move_to(pointer.voxel)
            self._sheet.redraw()

    def _release(self, pointer: Pointer) -> None:
        pressed, self._pressed = self._pressed, None
        stroke, self._stroke = self._stroke, None
        assert pressed is not None
        moved = max(abs(a - b) for a, b in zip(pressed.pixel, pointer.pixel, strict=True))
        is_click = moved < CLICK_PX
        if stroke is not None:
            self._finish(stroke, pressed, is_click)
        elif is_click and pressed.button == RIGHT:
            self.desk.ask(lambda document: pick(document, pressed), self._ask_menu)
        elif is_click and pressed.button == LEFT:
            if pressed.far is not None and self.desk.tool.draws:
                self._click_in_3d(pressed)
            else:
                self.desk.ask(
                    lambda document: pick(document, pressed), lambda found: self._select(found, pressed.modifiers)
                )

    def _finish(self, stroke: Stroke, pressed: Pointer, is_click: bool) -> None:
        name = self.desk.tool.name
        if not stroke.voxels:
            self.desk.forget()
            self.desk.say("That was outside of the volume.", refused=True)
        elif name == "join":
            self._add_mark(self._colour(pressed), stroke.voxels)
        elif name == "line":
            self._cut_along(stroke, is_click)
        else:
            self._paint(name, stroke)

    def _add_mark(self, colour: int, places: list[Place]) -> None:
        self._marks.append((colour, list(places)))
        self.desk.n_marks = len(self._marks)
        self.changed.emit()
        marks = list(self._marks)
        doing = "Joining …" if len(self.seeds) == 1 else "Working out the cut …"
        if len(marks) == 1:
            self.desk.ask(lambda document: pick_place(document, places[0]), self._select_first)
        self.desk.propose(lambda document: orders.join_or_cut(document, marks), doing, self.seeds)

    def _select_first(self, found: Picked | None) -> None:
        if found is not None:
            self.desk.select([found])

    def _cut_along(self, stroke: Stroke, is_click: bool) -> None:
        if is_click:
            self.desk.forget()
            self.desk.say("A click is no line.", "Draw right across the segment, from outside to outside.", True)
            return
        selected = [one.segment for one in self.desk.selected]
        voxels, axis = list(stroke.voxels), stroke.axis
        self.desk.propose(lambda document: orders.cut_line(document, voxels, axis, selected), "Working out the cut …")

    def _paint(self, name: ToolName, stroke: Stroke) -> None:
        drawn, sheet = stroke.mask(), self._sheet
        if drawn is None or sheet is None:
            return
        box, mask = drawn
        selected = [one.segment for one in self.desk.selected]
        first = stroke.voxels[0]

        def plan(document: LabelDocument) -> Any:
            if name == "new":
                return orders.new_segment(box, mask)
            if name == "erase":
                return orders.erase(document, box, mask, selected)
            return orders.paint(document, box, mask, selected, first)

        def after(change: Change) -> None:
            sheet.settle(stroke)
            if name == "new":
                self.desk.select_ids(orders.made_by(change), lambda: self.desk.choose_tool("paint"))

        doing = "Erasing …" if name == "erase" else "Painting …"
        self.desk.n_marks = len(self._marks)
        self.desk.apply(plan, doing, after, lambda: sheet.take_away(stroke))

    def _click_in_3d(self, pressed: Pointer) -> None:
        if self.desk.tool.name != "join":
            self.desk.say(f"{self.desk.tool.title}: that is done in 2D.", "Switch the 3D display off.", True)
            return
        colour, near, far = self._colour(pressed), pressed.voxel, pressed.far
        if near is None or far is None:
            return

        def mark(seen: tuple[Place, int] | None) -> None:
            if seen is None:
                self.desk.say("There is no segment there.", "Click on one.", refused=True)
            else:
                self._add_mark(colour, [seen[0]])

        self.desk.ask(lambda document: first_in_sight(document, near, far), mark)

    def _select(self, found: Picked | None, modifiers: frozenset[str]) -> None:
        selected = self.desk.selected
        if found is None:
            if "Shift" not in modifiers:
                self.desk.select(())
            return
        if "Shift" not in modifiers:
            self.desk.select([found])
        elif found.segment in [one.segment for one in selected]:
            self.desk.select([one for one in selected if one.segment != found.segment])
        else:
            self.desk.select([*selected, found])

    def _ask_menu(self, found: Picked | None) -> None:
        if found is None:
            self.desk.say("There is no segment there.", refused=True)
            return
        if found.segment not in [one.segment for one in self.desk.selected]:
            self.desk.select([found])
        self.menu_asked.emit(found)

    # ---- colours and thickness

    def _colour(self, pointer: Pointer) -> int:
        """Shift marks in the colour after the chosen one."""
        return (self.colour + 1) % len(COLOURS) if "Shift" in pointer.modifiers else self.colour

    def _number(self, pointer: Pointer) -> int:
        return _PAINT if self.desk.tool.paints else self._colour(pointer) + 1

    def _diameter(self, axis: int) -> float:
        if self.desk.tool.paints:
            return float(self.brush)
        layers = self._workspace.layers
        shown = [] if layers is None else [n for k, n in enumerate(layers.view_box().shape) if k != axis]
        return max(1.0, max(shown, default=1) * _MARK_SHARE)

    def _colours(self) -> dict[int, str]:
        found = dict(enumerate(COLOURS, start=1))
        selected = self.desk.selected
        name = self.desk.tool.name
        painted = _ERASED if name == "erase" else colour_of(selected[0].segment) if selected else COLOURS[0]
        return found | {_PAINT: painted}

    # ---- layers

    def _on_session(self) -> None:
        layers = self._workspace.layers
        if layers is not None:
            layers.segments.added.connect(self._attach)
            for layer in layers.segments.layers:
                self._attach(layer)

    def _on_document(self) -> None:
        if self._sheet is not None:
            self._sheet.close()
        self._sheet = self._pressed = None
        self.clear()
        document = self.desk.document
        if document is not None:
            self._sheet = Sheet(self._workspace.viewer, document.shape, document.space, self)
            self._on_tool()

    def _attach(self, layer: Any) -> None:
        self._workspace.viewer.on_mouse(layer, self.take)
        self._workspace.viewer.bind_keys(layer, self._keys)
        self._workspace.viewer.set_help(layer, _HELP)

    def _on_tool(self) -> None:
        """Give the mouse to the tool that is chosen."""
        layers, viewer, tool = self._workspace.layers, self._workspace.viewer, self.desk.tool
        if layers is None or self._sheet is None:
            return
        if not viewer.has(layers.segments.layer):
            layers.segments.restore()
        if tool.draws:
            self._sheet.lay_out(self._colours())
        is_flat = not viewer.is_3d()
        brush = float(self.brush) if tool.paints and is_flat else None
        viewer.hold_mouse(layers.segments.layer, tool.draws and is_flat, brush)
        self._show_colours()

    def take_up(self) -> None:
        """Select the segments, so that mouse and keys are theirs."""
        layers = self._workspace.layers
        if layers is not None and self._sheet is not None:
            self._workspace.viewer.select(layers.segments.layer)
            self._getting_ready.start()

    def _get_ready(self) -> None:
        """Add the layers that the first edit needs, one in a turn of the event loop: each takes napari a while."""
        layers = self._workspace.layers
        if layers is None or self._sheet is None:
            return
        if not self._sheet.is_there:
            self._sheet.lay_out(self._colours())
            self._getting_ready.start()
        elif layers.segments.add_missing():
            self._getting_ready.start()

    def _on_view(self) -> None:
        """Brushes are for sections: in 3D dragging turns the view, and clicks mark."""
        is_3d = self._workspace.viewer.is_3d()
        if is_3d != self._was_3d:
            self._was_3d = is_3d
            if self._sheet is not None:
                self._sheet.set_visible(not is_3d)
            self._on_tool()

    def _show_colours(self) -> None:
        if self._sheet is not None:
            self._sheet.show_colours(self._colours())


def pencil_of(workspace: Workspace) -> Pencil:
    """The one pencil of a workspace, on its one desk."""
    desk = desk_of(workspace)
    return desk.findChild(Pencil) or Pencil(workspace, desk)
