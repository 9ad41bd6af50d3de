"""Offsets are typed as triples, and what is no triple is told."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.plans.targets import InstancesTarget
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.forms.editors import OptionalEditor
from napari_pytc.ui.widgets.forms.offsets import OffsetsEditor
from tests.support.display import needs_display

pytestmark = needs_display

FACES = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


@pytest.mark.parametrize("offsets", [(), ((0, 0, -9),), FACES])
def test_offsets_are_given_back_as_they_were_shown(qtbot: QtBot, offsets: tuple[tuple[int, int, int], ...]) -> None:
    editor = OffsetsEditor()
    qtbot.addWidget(editor)
    editor.set_value(offsets)
    assert (editor.value(), editor.problem) == (offsets, "")


def test_spaces_and_a_semicolon_at_the_end_do_no_harm(qtbot: QtBot) -> None:
    editor = OffsetsEditor()
    qtbot.addWidget(editor)
    with qtbot.waitSignal(editor.changed):
        editor.line.setText(" -1, 0,0 ;0,-1,0; ")
    assert (editor.value(), editor.problem) == (FACES[:2], "")


@pytest.mark.parametrize("text", ["-1,0", "1,2,3,4", "a,b,c", "1.5,0,0", "-1,0,0 0,-1,0"])
def test_what_is_no_triple_is_told(qtbot: QtBot, text: str) -> None:
    editor = OffsetsEditor()
    qtbot.addWidget(editor)
    editor.line.setText(text)
    assert f"got {text!r}" in editor.problem
    assert editor.value() == ()


def test_a_form_of_instances_names_the_field_and_begins_with_offsets(qtbot: QtBot) -> None:
    form = SettingsForm(
        InstancesTarget, editors={"offsets": lambda: OptionalEditor(OffsetsEditor(), FACES)}, path="target"
    )
    qtbot.addWidget(form)
    editor = form.findChild(OptionalEditor, "target.offsets")
    assert editor is not None
    assert "target.offsets" in editor.toolTip()
    editor.box.setChecked(True)
    assert form.value() == InstancesTarget(offsets=FACES)
    editor.inner.set_value(((0, 0, 0),))
    assert "differ from one another and from 0,0,0" in form.problem
    editor.inner.line.setText("1")  # type: ignore[attr-defined]
    assert form.problem.startswith("Offsets must be whole numbers z,y,x")
