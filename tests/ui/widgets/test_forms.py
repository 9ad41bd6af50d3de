"""Forms show every setting, give back exactly what they were given, and say what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.networks import NetworkSettings, UNetNetwork
from napari_pytc.plans.plan import Augmentation, PredictPlan, TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.settings import Settings, setting
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.forms.editors import (
    ChoiceEditor,
    Editor,
    NumberEditor,
    NumbersEditor,
    OptionalEditor,
    YamlEditor,
)
from napari_pytc.ui.widgets.forms.fields import kept_fields
from napari_pytc.ui.widgets.forms.numbers import NumberBox
from napari_pytc.ui.widgets.layout import Scrolled
from tests.support.display import needs_display

pytestmark = needs_display

SIMPLE = ("steps", "minutes", "class_balance")
FormMaker = Callable[..., SettingsForm]


@pytest.fixture
def form_of(qtbot: QtBot) -> FormMaker:
    def make(model: type[Settings] = TrainPlan, *args: Any, **kwargs: Any) -> SettingsForm:
        form = SettingsForm(model, *args, **kwargs)
        qtbot.addWidget(form)
        return form

    return make


def editor(form: SettingsForm, dotted: str) -> Editor:
    """The newest shown editor of a field."""
    found = [one for one in form.findChildren(Editor, dotted) if not one.isHidden()]
    return found[-1]


def every_setting(model: type[Settings], prefix: str = "") -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name == "kind":
            continue
        names.add(f"{prefix}{name}")
        if isinstance(default, Settings):
            names |= every_setting(type(default), f"{prefix}{name}.")
    return names


@pytest.mark.parametrize("recipe", ["instant", "fast", "accurate"])
def test_recipes_come_back_exactly(form_of: FormMaker, recipe: str) -> None:
    plan = load_recipe(recipe)
    assert form_of(TrainPlan, plan, SIMPLE).value() == plan
    assert form_of(TrainPlan, plan, hidden=("recipe",)).value() == plan
    form = form_of(TrainPlan, simple=SIMPLE)
    form.set_value(plan)
    assert form.value() == plan


@pytest.mark.parametrize("kind", sorted(NetworkSettings.variants()))
def test_every_network_has_its_rows_and_comes_back(form_of: FormMaker, kind: str) -> None:
    plan = TrainPlan(network={"kind": kind})
    form = form_of(TrainPlan, plan)
    assert form.value() == plan
    shown = {one.objectName() for one in form.findChildren(Editor)}
    wanted = every_setting(TrainPlan) - {"network." + n for n in every_setting(UNetNetwork)}
    assert wanted - set(kept_fields(TrainPlan)) <= shown
    assert {f"network.{name}" for name in every_setting(NetworkSettings.variants()[kind])} <= shown


def test_prediction_settings_too(form_of: FormMaker) -> None:
    form = form_of(PredictPlan)
    assert form.value() == PredictPlan()
    plan = PredictPlan(tile_shape=(8, 300, 40), flips=True, device="cpu", precision="bf16")
    form.set_value(plan)
    assert form.value() == plan


# A share smaller than this is nothing to a person, and Qt keeps 323 decimals only.
SHARE = st.floats(0, 1).map(lambda share: share if share > 1e-200 else 0.0)
ANY_AUGMENTATION = st.builds(
    Augmentation,
    flips=st.booleans(),
    **dict.fromkeys(("affine", "contrast", "noise", "blur", "missing_section"), SHARE),
)
WIDTHS = st.lists(st.integers(1, 5000), min_size=3, max_size=6).map(tuple)
ANY_NETWORK = st.one_of(
    st.builds(NetworkSettings.variants()["unet"], channels=WIDTHS, residual_units=st.integers(0, 4)),
    st.builds(NetworkSettings.variants()["dynunet"], channels=WIDTHS, residual=st.booleans()),
    st.builds(
        NetworkSettings.variants()["filter_bank"],
        sigmas=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=7).map(tuple),
        hidden=st.lists(st.integers(1, 512), max_size=3).map(tuple),
        dimensions=st.sampled_from(["auto", "2d", "3d"]),
    ),
    st.builds(NetworkSettings.variants()["filter_unet"], channels=WIDTHS),
)
ANY_PLAN = st.builds(
    TrainPlan,
    recipe=st.sampled_from(["instant", "mine", "été"]),
    network=ANY_NETWORK,
    steps=st.integers(1, 10**9),
    minutes=st.none() | st.floats(1e-6, 1e5, exclude_min=True),
    batch_size=st.integers(1, 10**4),
    patch_shape=st.none() | st.tuples(*[st.integers(1, 4096)] * 3),
    learning_rate=st.floats(1e-200, 1e3),
    weight_decay=SHARE,
    dice_weight=SHARE,
    guess_confidence=st.floats(0.5, 1, exclude_max=True),
    seed=st.integers(0, 2**53),
    augmentation=ANY_AUGMENTATION,
    device=st.sampled_from(["auto", "cpu", "cuda", "mps"]),
)


@needs_display
def test_any_plan_comes_back_to_the_last_bit(form_of: FormMaker) -> None:
    form = form_of(TrainPlan, simple=SIMPLE)

    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(ANY_PLAN)
    def comes_back(plan: TrainPlan) -> None:
        form.set_value(plan)
        assert form.problem == ""
        assert form.value() == plan

    comes_back()


def test_simple_settings_are_in_sight_and_the_rest_is_folded(form_of: FormMaker) -> None:
    form = form_of(TrainPlan, simple=SIMPLE, hidden=("recipe",))
    form.show()
    assert form.more is not None
    assert not form.more.content().isVisible()
    assert all(editor(form, name).isVisible() for name in SIMPLE)
    assert not form.findChildren(Editor, "recipe")
    form.more.toggleButton().click()
    assert editor(form, "learning_rate").isVisible()
    assert not editor(form, "network").isVisible()  # each subject has a fold of its own
    fold = next(one for one in form.findChildren(Fold) if one.text() == "Network: unet")
    fold.expand(animate=False)
    assert editor(form, "network").isVisible()
    plain = form_of(PredictPlan)
    assert plain.more is None
    assert not plain.search.isVisibleTo(plain)


def test_typing_changes_the_value_and_says_so(form_of: FormMaker, qtbot: QtBot) -> None:
    form = form_of(TrainPlan, load_recipe("fast"), SIMPLE)
    form.show()
    steps = editor(form, "steps")
    assert isinstance(steps, NumberEditor)
    assert steps.box.text() == "1000 steps"
    with qtbot.waitSignal(form.changed):
        steps.box.selectAll()
        qtbot.keyClicks(steps.box, "250")
    assert form.value() == load_recipe("fast", ["steps=250"])
    minutes = editor(form, "minutes")
    assert isinstance(minutes, OptionalEditor)
    minutes.box.click()
    assert form.value() == load_recipe("fast", ["steps=250", "minutes=null"])
    assert not minutes.inner.isEnabled()
    minutes.box.click()
    assert form.value() == load_recipe("fast", ["steps=250"])


@pytest.mark.parametrize(
    ("typed", "expected"), [("0.5", 0.5), ("1e-5", 1e-5), ("0,25", 0.25), ("3", 3.0), ("-3", 2e-3), ("abd", 2e-3)]
)
def test_numbers_are_typed_as_people_write_them(form_of: FormMaker, qtbot: QtBot, typed: str, expected: float) -> None:
    form = form_of()
    form.show()
    rate = editor(form, "learning_rate")
    assert isinstance(rate, NumberEditor)
    rate.box.selectAll()
    qtbot.keyClicks(rate.box, typed)
    rate.box.clearFocus()
    qtbot.keyClick(rate.box, Qt.Key.Key_Return)
    assert rate.value() == expected


def test_bounds_cannot_be_left(form_of: FormMaker, qtbot: QtBot) -> None:
    form = form_of()
    blur = editor(form, "augmentation.blur")
    assert isinstance(blur, NumberEditor)
    blur.set_value(7)
    assert form.value().augmentation.blur == 1  # type: ignore[attr-defined]
    for _ in range(30):
        blur.box.stepDown()
    assert form.value().augmentation.blur == 0  # type: ignore[attr-defined]
    steps = editor(form, "steps")
    assert isinstance(steps, NumberEditor)
    steps.set_value(0)
    assert steps.value() == 1


@pytest.mark.parametrize(
    ("whole", "before", "after"),
    [(True, 400, 410), (True, 1, 2), (True, 0, 1), (False, 0.002, 0.0021), (False, 1e-4, 1.1e-4)],
)
def test_steps_follow_the_size_of_a_number(qtbot: QtBot, whole: bool, before: float, after: float) -> None:
    box = NumberBox(whole, 0, None, "")
    qtbot.addWidget(box)
    box.setValue(before)
    box.stepUp()
    assert box.number == after
    box.stepDown()
    assert box.number == pytest.approx(before)


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [("minutes", 1, "1 minute"), ("minutes", 2, "2 minutes"), ("s", 1, "1 s"), ("nm", 1, "1 nm"), ("", 1, "1")],
)
def test_a_unit_is_in_the_singular_after_one(qtbot: QtBot, unit: str, value: float, expected: str) -> None:
    box = NumberBox(False, 1, None, unit)  # begins with 1
    qtbot.addWidget(box)
    assert box.text() == ("1 minute" if unit == "minutes" else f"1 {unit}".strip())
    box.setValue(7)
    box.setValue(value)
    assert box.text() == expected
    assert box.valueFromText(box.text()) == value


def test_open_bounds_are_a_problem_that_is_named(form_of: FormMaker) -> None:
    form = form_of()
    rate = editor(form, "learning_rate")
    rate.set_value(0)
    assert form.problem == "Learning rate: input should be greater than 0, got 0.0."
    with pytest.raises(InvalidInput, match="Learning rate"):
        form.value()
    marked = [label.text() for label in form.findChildren(QLabel) if label.text().startswith("⚠")]
    assert marked == ["⚠ Learning rate"]
    rate.set_value(0.01)
    assert form.problem == ""
    assert form.value() == TrainPlan(learning_rate=0.01)
    assert not [label for label in form.findChildren(QLabel) if label.text().startswith("⚠")]


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("8, x", "Network, Channels must be whole numbers separated by commas, got '8, x'."),
        ("8", "Network, Channels: tuple should have at least 2 items after validation, not 1, got (8,)."),
        ("8; 16", ""),
    ],
)
def test_lists_are_checked(form_of: FormMaker, typed: str, problem: str) -> None:
    form = form_of(TrainPlan, simple=SIMPLE)
    form.show()
    assert form.more is not None
    form.more.toggleButton().click()
    channels = editor(form, "network.channels")
    assert isinstance(channels, NumbersEditor)
    channels.line.setText(typed)
    assert form.problem == problem
    complaint = form.findChild(QLabel, "settingsProblem")
    assert complaint is not None
    assert (complaint.text(), complaint.isVisible()) == (problem, bool(problem))


def test_each_network_keeps_what_was_set_while_another_is_looked_at(form_of: FormMaker) -> None:
    form = form_of(TrainPlan, TrainPlan(network=UNetNetwork(channels=(5, 7))))
    combo = form.findChild(QComboBox, "network.kind")
    assert combo is not None
    for kind in ("dynunet", "unet"):
        combo.setCurrentText(kind)
        assert form.value().network.kind == kind  # type: ignore[attr-defined]
    assert form.value() == TrainPlan(network=UNetNetwork(channels=(5, 7)))


@pytest.mark.parametrize(
    ("text", "seen", "unseen"),
    [
        ("augmentation.blur", ["augmentation.blur"], ["augmentation.noise", "learning_rate", "network"]),
        ("highest learning", ["learning_rate"], ["augmentation", "device"]),
        ("network.chan", ["network.channels"], ["network.residual_units", "seed"]),
        ("augm", ["augmentation.noise", "augmentation.blur"], ["learning_rate"]),
        ("", ["learning_rate", "seed"], ["augmentation.noise", "network.residual_units"]),
    ],
)
def test_search_by_dotted_name_or_words(form_of: FormMaker, text: str, seen: list[str], unseen: list[str]) -> None:
    form = form_of(TrainPlan, simple=SIMPLE)
    form.show()
    assert form.more is not None
    form.more.toggleButton().click()
    form.search.setText("nothing is called so")
    assert not editor(form, "network").isVisible()
    form.search.setText(text)
    assert all(editor(form, name).isVisible() for name in seen)
    assert not any(one.isVisible() for name in unseen for one in form.findChildren(Editor, name))


def test_tooltips_say_what_and_in_which_unit(form_of: FormMaker) -> None:
    form = form_of()
    tip = editor(form, "validate_every").toolTip()
    assert tip == "Steps between scores on the held-out boxes. In steps.\n\nvalidate_every"


def test_wheel_scrolls_the_panel_and_changes_nothing(form_of: FormMaker) -> None:
    form = form_of()
    device, steps = editor(form, "device"), editor(form, "steps")
    assert isinstance(device, ChoiceEditor)
    assert isinstance(steps, NumberEditor)
    for widget in (device.combo, steps.box):
        down = QWheelEvent(
            QPointF(3, 3),
            QPointF(3, 3),
            QPoint(0, -120),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(widget, down)
    assert form.value() == TrainPlan()


class First(Settings):
    kind: Literal["first"] = "first"
    size: float = setting(1.5, "Size", "How large.", "nm", gt=0)


class Second(Settings):
    kind: Literal["second"] = "second"
    name: str = setting("a", "Name", "How it is called.")
    pair: tuple[float, float] = setting((1.0, 2.0), "Pair", "Two numbers.")


class Either(Settings):
    which: First | Second = setting(First(), "Which", "One of two.")
    count: int = setting(3, "Count", "How many.", gt=2, lt=9)


def test_any_tagged_union_and_open_whole_bounds(form_of: FormMaker) -> None:
    form = form_of(Either)
    assert form.value() == Either()
    value = Either(which=Second(name="b", pair=(0.1, 1e-9)), count=8)
    form.set_value(value)
    assert form.value() == value
    count, pair = editor(form, "count"), editor(form, "which.pair")
    count.set_value(40)
    assert count.value() == 8
    assert isinstance(pair, NumbersEditor)
    pair.line.setText("1")
    assert form.problem == "Which, Pair must be 2 numbers, got 1."


def test_a_type_without_an_editor_is_named(form_of: FormMaker) -> None:
    class Odd(Settings):
        where: bytes = setting(b"", "Where", "Unknown to forms.")

    with pytest.raises(TypeError, match="where"):
        form_of(Odd)


def test_no_field_of_the_opened_fold_is_squeezed(form_of: FormMaker, qtbot: QtBot) -> None:
    form = form_of(TrainPlan, simple=SIMPLE, hidden=("recipe",))
    page = QWidget()
    QVBoxLayout(page).addWidget(form)
    scrolled = Scrolled(page)
    qtbot.addWidget(scrolled)
    scrolled.resize(330, 500)
    scrolled.show()
    assert form.more is not None
    form.more.toggleButton().click()
    qtbot.waitUntil(form.more.content().isVisible)

    def visible() -> list[QLineEdit]:
        return [field for field in form.findChildren(QLineEdit) if field.isVisible()]

    qtbot.waitUntil(lambda: all(field.height() >= field.minimumSizeHint().height() for field in visible()))
    assert len(visible()) > 3


def test_a_list_of_losses_is_the_text_of_recipes(qtbot: QtBot) -> None:
    form = SettingsForm(TrainPlan, hidden=("recipe", "target", "decoder"))
    qtbot.addWidget(form)
    line = form.findChild(YamlEditor, "losses").line
    assert line.text() == ""
    line.setText("[dice, {loss: ce, weight: 0.5}, {loss: {kind: tversky, alpha: 0.3}}]")
    assert [(one.loss.kind, one.weight) for one in form.value().losses] == [("dice", 1), ("ce", 0.5), ("tversky", 1)]
    again = SettingsForm(TrainPlan, form.value(), hidden=("recipe", "target", "decoder"))
    qtbot.addWidget(again)
    shown = again.findChild(YamlEditor, "losses").line.text()
    assert shown == "[{loss: dice}, {loss: ce, weight: 0.5}, {loss: {kind: tversky, alpha: 0.3}}]"
    assert again.value() == form.value()
    line.setText("[dice")
    assert "as in a recipe" in form.problem
    line.setText("[dise]")
    assert "No loss is called 'dise'" in form.problem
