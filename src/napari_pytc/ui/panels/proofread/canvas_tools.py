"""The mouse on the segments: clicks that select, strokes that mark or paint, the right button's menu."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.geometry import Voxel
from napari_pytc.labels.segment_colours import colour_of
from napari_pytc.ui.canvas.viewer.port import Pointer
from napari_pytc.ui.panels.proofread import edit_plans
from napari_pytc.ui.panels.proofread.editor import EditedProject, SegmentEditor
from napari_pytc.ui.panels.proofread.marks import MarkedStroke, MarksLayer
from napari_pytc.ui.panels.proofread.picking import PickedSegment, first_in_sight, pick, pick_voxel
from napari_pytc.ui.panels.proofread.tools import COLOURS, ToolName
from napari_pytc.ui.tasks.timers import single_shot

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.document import LabelDocument

LEFT, RIGHT = 1, 2
CLICK_PX = 4.0
"""Greatest distance on the canvas between press and release of a click."""
BRUSHES = (1, 2, 3, 5, 7, 9, 13, 19, 27, 39, 55, 79)
"""Diameters in voxels that the keys go through."""
_MARK_SHARE = 1 / 110
"""Thickness of marks as a share of the view."""
_PAINT = len(COLOURS) + 1
"""The label of a stroke that paints; those before are of marks."""
_ERASED = "#ff3b30"
_PREPARE_MS = 50
_HELP = "Z: select, M: merge or split, K: cut along a line, P: paint, J: next doubtful place, right-click: more"


class CanvasTools(QObject):
    """Turns mouse events on the layers of segments into edits and selections.

    Parameters
    ----------
    project : EditedProject
        On whose layers the mouse is followed.
    editor : SegmentEditor
        Makes the edits and holds the selection.
    """

    menu_requested = Signal(object)
    """A `PickedSegment` that was clicked with the right button."""
    changed = Signal()
    """Colour or brush is another one."""

    def __init__(self, project: EditedProject, editor: SegmentEditor) -> None:
        super().__init__(editor)
        self._project, self.editor = project, editor
        self.colour = 0
        """Colour of the next mark, an index of `COLOURS`."""
        self.brush = 9
        """Diameter in voxels."""
        self._marks: list[tuple[int, list[Voxel]]] = []
        """Marks in the order of drawing: the number of the colour, and the voxels."""
        self._marks_layer: MarksLayer | None = None
        self._stroke: MarkedStroke | None = None
        self._pressed: Pointer | None = None
        self._prepare_timer = single_shot(self, _PREPARE_MS, self._prepare)
        self._was_3d = project.viewer.is_3d()
        self._keys: dict[str, Callable[[], object]] = {}
        editor.tool_changed.connect(self._on_tool_changed)
        editor.tool_chosen.connect(self.activate_layer)
        editor.selection_changed.connect(self._show_colours)
        editor.dropped.connect(self.clear)
        project.segments.document_changed.connect(self._on_document_changed)
        project.session_changed.connect(self._on_session_changed)
        stop = project.viewer.on_view_changed(self._on_view_changed)
        project.jobs.closed.connect(stop)
        self._on_session_changed()
        self._on_document_changed()

    # ---- marks, colour and brush

    @property
    def seeds(self) -> dict[int, list[Voxel]]:
        """Marked voxels by the number of the colour."""
        found: dict[int, list[Voxel]] = {}
        for colour, voxels in self._marks:
            found.setdefault(colour, []).extend(voxels)
        return found

    def clear(self) -> None:
        """Remove all marks."""
        had = bool(self._marks) or self._stroke is not None
        self._marks, self._stroke, self.editor.n_marks, self.colour = [], None, 0, 0
        if self._marks_layer is not None:
            self._marks_layer.clear()
        if had:
            self.changed.emit()

    def next_colour(self) -> None:
        """Mark in the next colour."""
        self.choose_colour((self.colour + 1) % len(COLOURS))

    def choose_colour(self, number: int) -> None:
        """Mark in a colour, with the tool for marks."""
        if self.editor.tool.name != "join":
            self.editor.choose_tool("join")
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
        self._on_tool_changed()
        self.changed.emit()

    def bind(self, keys: dict[str, Callable[[], object]]) -> None:
        """Bind keys on the layers of segments, also on layers that are added later."""
        self._keys = keys
        layers = self._project.layers
        for layer in () if layers is None else layers.segments.layers:
            self._project.viewer.bind_keys(layer, keys)

    # ---- the mouse

    def on_pointer(self, pointer: Pointer) -> None:
        """Follow the mouse on a layer of segments."""
        if pointer.phase == "press":
            self._press(pointer)
        elif self._pressed is not None:
            if pointer.phase == "move":
                self._move(pointer)
            else:
                self._release(pointer)

    def _press(self, pointer: Pointer) -> None:
        self._pressed, self._stroke = pointer, None
        tool = self.editor.tool
        if pointer.button != LEFT or not tool.draws or pointer.voxel is None or pointer.far is not None:
            return
        document, marks_layer = self.editor.document, self._marks_layer
        if document is None or marks_layer is None:
            return
        if self.editor.proposal is not None and tool.name == "line":
            self.editor.discard()  # a line is drawn again, not further
        marks_layer.ensure_layer(self._colours())
        number, size_nm = self._number(pointer), document.space.voxel_size_nm
        self._stroke = MarkedStroke(number, pointer.axis, self._diameter(pointer.axis), size_nm, marks_layer.shape)
        self._stroke.move_to(pointer.voxel)
        marks_layer.add(self._stroke)
        self.editor.n_marks += 1

    def _move(self, pointer: Pointer) -> None:
        if (
            self._stroke is not None
            and self._marks_layer is not None
            and pointer.voxel is not None
            and pointer.far is None
        ):
            self._stroke.move_to(pointer.voxel)
            self._marks_layer.refresh_soon()

    def _release(self, pointer: Pointer) -> None:
        pressed, self._pressed = self._pressed, None
        stroke, self._stroke = self._stroke, None
        assert pressed is not None
        moved = max(abs(a - b) for a, b in zip(pressed.pixel, pointer.pixel, strict=True))
        is_click = moved < CLICK_PX
        if stroke is not None:
            self._finish(stroke, pressed, is_click)
        elif is_click and pressed.button == RIGHT:
            self.editor.query(lambda document: pick(document, pressed), self._request_menu)
        elif is_click and pressed.button == LEFT:
            if pressed.far is not None and self.editor.tool.draws:
                self._click_in_3d(pressed)
            else:
                self.editor.query(
                    lambda document: pick(document, pressed), lambda found: self._select(found, pressed.modifiers)
                )

    def _finish(self, stroke: MarkedStroke, pressed: Pointer, is_click: bool) -> None:
        name = self.editor.tool.name
        if not stroke.voxels:
            self.editor.discard()
            self.editor.show_message("That was outside of the volume.", refused=True)
        elif name == "join":
            self._add_mark(self._colour(pressed), stroke.voxels)
        elif name == "line":
            self._cut_along(stroke, is_click)
        else:
            self._paint(name, stroke)

    def _add_mark(self, colour: int, voxels: list[Voxel]) -> None:
        self._marks.append((colour, list(voxels)))
        self.editor.n_marks = len(self._marks)
        self.changed.emit()
        marks = list(self._marks)
        doing = "Joining …" if len(self.seeds) == 1 else "Working out the cut …"
        if len(marks) == 1:
            self.editor.query(
                lambda document: pick_voxel(document, voxels[0]),
                lambda found: None if found is None else self.editor.select([found]),
            )
        self.editor.propose(lambda document: edit_plans.join_or_cut(document, marks), doing, self.seeds)

    def _cut_along(self, stroke: MarkedStroke, is_click: bool) -> None:
        if is_click:
            self.editor.discard()
            self.editor.show_message(
                "A click is no line.", "Draw right across the segment, from outside to outside.", True
            )
            return
        selected = self.editor.selected_ids
        voxels, axis = list(stroke.voxels), stroke.axis
        self.editor.propose(
            lambda document: edit_plans.cut_line(document, voxels, axis, selected), "Working out the cut …"
        )

    def _paint(self, name: ToolName, stroke: MarkedStroke) -> None:
        drawn, marks_layer = stroke.mask(), self._marks_layer
        if drawn is None or marks_layer is None:
            return
        box, mask = drawn
        selected = self.editor.selected_ids
        first = stroke.voxels[0]

        def plan(document: LabelDocument) -> Any:
            if name == "new":
                return edit_plans.new_segment(box, mask)
            if name == "erase":
                return edit_plans.erase(document, box, mask, selected)
            return edit_plans.paint(document, box, mask, selected, first)

        def after(change: Change) -> None:
            marks_layer.remove_later(stroke)
            if name == "new":
                self.editor.select_ids(edit_plans.new_segments_of(change), lambda: self.editor.choose_tool("paint"))

        doing = "Erasing …" if name == "erase" else "Painting …"
        self.editor.n_marks = len(self._marks)
        self.editor.apply(plan, doing, after, lambda: marks_layer.remove(stroke))

    def _click_in_3d(self, pressed: Pointer) -> None:
        if self.editor.tool.name != "join":
            self.editor.show_message(
                f"{self.editor.tool.title}: that is done in 2D.", "Switch the 3D display off.", True
            )
            return
        colour, near, far = self._colour(pressed), pressed.voxel, pressed.far
        if near is None or far is None:
            return

        def on_result(seen: tuple[Voxel, int] | None) -> None:
            if seen is None:
                self.editor.show_message("There is no segment there.", "Click on one.", refused=True)
            else:
                self._add_mark(colour, [seen[0]])

        self.editor.query(lambda document: first_in_sight(document, near, far), on_result)

    def _select(self, found: PickedSegment | None, modifiers: frozenset[str]) -> None:
        selected = self.editor.selected
        if found is None:
            if "Shift" not in modifiers:
                self.editor.select(())
            return
        if "Shift" not in modifiers:
            self.editor.select([found])
        elif found.segment in self.editor.selected_ids:
            self.editor.select([one for one in selected if one.segment != found.segment])
        else:
            self.editor.select([*selected, found])

    def _request_menu(self, found: PickedSegment | None) -> None:
        if found is None:
            self.editor.show_message("There is no segment there.", refused=True)
            return
        if found.segment not in self.editor.selected_ids:
            self.editor.select([found])
        self.menu_requested.emit(found)

    # ---- colours and thickness

    def _colour(self, pointer: Pointer) -> int:
        """The colour of a mark; with Shift the one after the chosen colour."""
        return (self.colour + 1) % len(COLOURS) if "Shift" in pointer.modifiers else self.colour

    def _number(self, pointer: Pointer) -> int:
        return _PAINT if self.editor.tool.paints else self._colour(pointer) + 1

    def _diameter(self, axis: int) -> float:
        if self.editor.tool.paints:
            return float(self.brush)
        layers = self._project.layers
        shown = [] if layers is None else [n for k, n in enumerate(layers.view_box().shape) if k != axis]
        return max(1.0, max(shown, default=1) * _MARK_SHARE)

    def _colours(self) -> dict[int, str]:
        found = dict(enumerate(COLOURS, start=1))
        selected = self.editor.selected
        name = self.editor.tool.name
        painted = _ERASED if name == "erase" else colour_of(selected[0].segment) if selected else COLOURS[0]
        return found | {_PAINT: painted}

    # ---- layers

    def _strokes(self) -> Any:
        """The layer below which ours stand together."""
        return None if self._project.layers is None else self._project.layers.strokes

    def _on_session_changed(self) -> None:
        layers = self._project.layers
        if layers is not None:
            layers.segments.added.connect(self._attach)
            for layer in layers.segments.layers:
                self._attach(layer)

    def _on_document_changed(self) -> None:
        if self._marks_layer is not None:
            self._marks_layer.close()
        self._marks_layer = self._pressed = None
        self.clear()
        document = self.editor.document
        if document is not None:
            self._marks_layer = MarksLayer(self._project.viewer, document.shape, document.space, self._strokes, self)
            self._on_tool_changed()

    def _attach(self, layer: Any) -> None:
        self._project.viewer.on_mouse(layer, self.on_pointer)
        self._project.viewer.bind_keys(layer, self._keys)
        self._project.viewer.set_help(layer, _HELP)

    def _on_tool_changed(self) -> None:
        """Set brush and cursor of the tool that is chosen."""
        layers, viewer, tool = self._project.layers, self._project.viewer, self.editor.tool
        if layers is None or self._marks_layer is None:
            return
        if not viewer.has(layers.segments.layer):
            layers.segments.restore()
        if tool.draws:
            self._marks_layer.ensure_layer(self._colours())
        is_flat = not viewer.is_3d()
        brush = float(self.brush) if tool.paints and is_flat else None
        viewer.hold_mouse(layers.segments.layer, tool.draws and is_flat, brush)
        self._show_colours()

    def activate_layer(self) -> None:
        """Make the segments the active layer, so that mouse and keys are theirs."""
        layers = self._project.layers
        if layers is not None and self._marks_layer is not None:
            self._project.viewer.select(layers.segments.layer)
            self._prepare_timer.start()

    def _prepare(self) -> None:
        """Add the layers that the first edit needs, one a turn of the event loop: each takes napari a while."""
        layers = self._project.layers
        if layers is None or self._marks_layer is None:
            return
        if not self._marks_layer.is_there:
            self._marks_layer.ensure_layer(self._colours())
            self._prepare_timer.start()
        elif layers.segments.add_missing():
            self._prepare_timer.start()

    def _on_view_changed(self) -> None:
        """Give the mouse back to the camera in 3D: dragging turns the view there, and clicks mark."""
        is_3d = self._project.viewer.is_3d()
        if is_3d != self._was_3d:
            self._was_3d = is_3d
            if self._marks_layer is not None:
                self._marks_layer.set_visible(not is_3d)
            self._on_tool_changed()

    def _show_colours(self) -> None:
        if self._marks_layer is not None:
            self._marks_layer.show_colours(self._colours())
