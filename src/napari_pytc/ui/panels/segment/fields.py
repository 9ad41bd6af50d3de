"""The fields of a segmentation: decoder, its settings and merge slider, and the class that restricts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel, QWheelEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QSlider, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.settings import Settings
from napari_pytc.ui.panels.segment.choices import MaskChoice
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.forms.fields import bounds_of, editable_fields
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import form, row

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.ui.panels.segment.choices import PredictionFacts

ALL_OBJECTS = "All between boundaries"
_N_SIMPLE = 2
_STEPS = 100
_MODES = (
    ("Anywhere", None, "Objects may be everywhere."),
    ("Only inside", "inside", "Objects lie only where the class is probable: mitochondria in cells, for example."),
    ("Not through", "not_through", "No object reaches through the class: neurites end at membranes, for example."),
)


class _Slider(QSlider):
    """A slider that is moved by scrolling over it only while it has the focus."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Let the panel scroll while the slider does not have the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()


class MergeSlider(QWidget):
    """The setting of a decoder that groups supervoxels: low is fewer and larger segments, high more and smaller.

    It steps in hundredths of its range and never reaches bounds that are excluded.
    """

    moved = Signal(float)
    """The new value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = 0.0, 1.0
        self._given: float | None = None  # has more decimal places than the slider, until that is moved
        self.title = QLabel()
        self.number = QLabel()
        self.number.setObjectName("mergeNumber")
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("mergeSlider")
        self.slider.setRange(0, _STEPS)
        self.slider.setPageStep(5)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.title.setBuddy(self.slider)
        few, many = wrapped("fewer, larger", dim=True), wrapped("more, smaller", dim=True)
        many.setAlignment(Qt.AlignmentFlag.AlignRight)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(row(self.title, 1, self.number))
        layout.addWidget(self.slider)
        layout.addLayout(row(few, many))
        self.slider.valueChanged.connect(self._on_slider)

    @property
    def value(self) -> float:
        """The number that was given, or to which the slider was moved since."""
        if self._given is not None:
            return self._given
        return round(self._low + (self._high - self._low) * self.slider.value() / _STEPS, 6)

    def show_field(self, model: type[Settings], name: str, value: float) -> None:
        """Show a field of a settings model at a value; `moved` is not emitted."""
        field = model.model_fields[name]
        low, high = bounds_of(field, whole=False)
        self._low, self._high = 0.0 if low is None else low, 1.0 if high is None else high
        self.slider.blockSignals(True)
        margin = 1 if any(type(rule).__name__ in ("Gt", "Lt") for rule in field.metadata) else 0
        self.slider.setRange(margin, _STEPS - margin)
        self.slider.setValue(round((value - self._low) / (self._high - self._low) * _STEPS))
        self.slider.blockSignals(False)
        self._given = value
        self.title.setText(field.title or name)
        tip = f"{field.description}\n\n{name}"
        for widget in (self.title, self.slider, self.number):
            widget.setToolTip(tip)
        self._show_number()

    def _on_slider(self) -> None:
        self._given = None
        self._show_number()
        self.moved.emit(self.value)

    def _show_number(self) -> None:
        value = self.value
        self.number.setText(f"{value:.2f}" if round(value, 2) == value else f"{value:g}")


class DecoderFields(QWidget):
    """The decoder and its settings; the settings of one decoder are kept while others are chosen."""

    changed = Signal()
    """Another decoder or setting, also by the slider."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = Combo()
        self.combo.setObjectName("decoderCombo")
        self.combo.setToolTip("How objects are made of the prediction.")
        self.about = wrapped(dim=True)
        self.objects = Combo()
        self.objects.setObjectName("objectClassCombo")
        self.objects.setToolTip("What becomes objects: all that lies between boundaries, or one class.")
        self.boundary = Combo()
        self.boundary.setObjectName("boundaryClassCombo")
        self.boundary.setToolTip("The class that stands for the boundary between objects.")
        self._first = form(("Decoder", self.combo))
        self._fields = form(("Boundary", self.boundary), ("Objects", self.objects))
        self.slider = MergeSlider()
        self.slider.moved.connect(lambda value: self.changed.emit())
        self._forms = QVBoxLayout()
        self._forms.setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._first)
        layout.addWidget(self.about)
        layout.addLayout(self._fields)
        layout.addLayout(self._forms)
        layout.addWidget(self.slider)
        self._forms_by_kind: dict[tuple[str, bool], SettingsForm] = {}
        self._sliders: dict[str, float] = {}
        self._models: dict[str, type[DecoderSettings]] = {}
        self._facts: PredictionFacts | None = None
        self.combo.currentIndexChanged.connect(self._on_chosen)
        for combo in (self.objects, self.boundary):
            combo.currentIndexChanged.connect(self._on_edited)

    @property
    def forms(self) -> tuple[QFormLayout, ...]:
        """Rows whose names never change, to be lined up with others."""
        return self._first, self._fields

    @property
    def kind(self) -> str:
        """The decoder that is chosen; empty before there is one."""
        return self.combo.currentData() or ""

    @property
    def form(self) -> SettingsForm | None:
        """Form of the chosen decoder's settings."""
        return self._forms_by_kind.get((self.kind, self._is_flat))

    @property
    def boundary_class(self) -> str | None:
        """The class that stands for the boundary; None where the prediction has one itself."""
        return self.boundary.currentData() if self._needs_boundary else None

    @property
    def problem(self) -> str:
        """Reason why the decoder cannot decode; empty if it can."""
        form, facts = self.form, self._facts
        if form is None or facts is None:
            return "The prediction is being looked at."
        if form.problem:
            return form.problem
        try:
            self._settings(form).check(self._kind_of(facts))
        except InvalidInput as error:
            return str(error)
        return ""

    def value(self) -> DecoderSettings:
        """The settings as they are shown.

        Raises
        ------
        InvalidInput
            While there is a `problem`.
        """
        form = self.form
        if form is None or self.problem:
            raise InvalidInput(self.problem, "Change the settings of the decoder.")
        return self._settings(form)

    def show_facts(self, facts: PredictionFacts, models: dict[str, type[DecoderSettings]]) -> None:
        """Offer the choices that fit a prediction; another prediction of the same kind leaves all as it is set."""
        before, self._facts, self._models = self._facts, facts, models
        same = before is not None and before.is_flat == facts.is_flat
        if before is not None and same and (before.kind, before.first) == (facts.kind, facts.first):
            return
        first = facts.first
        with QSignalBlocker(self.combo):
            self.combo.clear()
            for kind, why_not in facts.decoders:
                self._add(kind, why_not)
            self.combo.setCurrentIndex(self.combo.findData(first.kind))
        self._fill_classes(facts, first)
        self._show_form(first)
        self.changed.emit()

    def show_settings(self, settings: DecoderSettings) -> None:
        """Choose a decoder with these settings; one that the prediction does not fit is left out."""
        index = self.combo.findData(settings.kind)
        if index < 0:
            return
        with QSignalBlocker(self.combo), QSignalBlocker(self.objects):
            self.combo.setCurrentIndex(index)
            self.objects.setCurrentIndex(max(0, self.objects.findData(settings.object_class)))
        self._show_form(settings)
        self.changed.emit()

    # ---- private

    @property
    def _is_flat(self) -> bool:
        return self._facts is not None and self._facts.is_flat

    @property
    def _needs_boundary(self) -> bool:
        kind = None if self._facts is None else self._facts.kind
        return kind is not None and bool(kind.class_names) and not (kind.boundary or kind.near_axes or kind.distance)

    def _kind_of(self, facts: PredictionFacts) -> Any:
        from dataclasses import replace

        return replace(facts.kind, boundary_class=self.boundary_class or facts.kind.boundary_class)

    def _settings(self, form: SettingsForm) -> DecoderSettings:
        from napari_pytc.decoding.base import DecoderSettings

        found = form.value()
        assert isinstance(found, DecoderSettings)
        changes: dict[str, Any] = {"object_class": self.objects.currentData() or ""}
        if found.slider is not None:
            changes[found.slider] = self.slider.value
        return found.model_copy(update=changes)

    def _add(self, kind: str, why_not: str) -> None:
        model = self._models[kind]
        self.combo.addItem(model.title or kind, kind)
        items, last = self.combo.model(), self.combo.count() - 1
        about = why_not or _about(model)
        self.combo.setItemData(last, about, Qt.ItemDataRole.ToolTipRole)
        if why_not and isinstance(items, QStandardItemModel):
            item: QStandardItem | None = items.item(last)
            if item is not None:
                item.setEnabled(False)

    def _fill_classes(self, facts: PredictionFacts, first: DecoderSettings) -> None:
        names, masks = facts.kind.class_names, facts.kind.mask_names
        with QSignalBlocker(self.objects):
            self.objects.clear()
            self.objects.addItem(ALL_OBJECTS, "")
            for name in names:
                self.objects.addItem(f"Class {name}", name)
            for name in masks:
                self.objects.addItem(name.capitalize(), name)
            self.objects.setCurrentIndex(max(0, self.objects.findData(first.object_class)))
        with QSignalBlocker(self.boundary):
            self.boundary.clear()
            if facts.kind.boundary_class is None:
                self.boundary.addItem("None of them", None)
            for name in names:
                self.boundary.addItem(f"Class {name}", name)
            self.boundary.setCurrentIndex(max(0, self.boundary.findData(facts.kind.boundary_class)))
        self._fields.setRowVisible(self.objects, bool(names or masks))
        self._fields.setRowVisible(self.boundary, self._needs_boundary)

    def _on_chosen(self) -> None:
        if self.kind in self._models:
            self._show_form(None)
            self.changed.emit()

    def _show_form(self, value: DecoderSettings | None) -> None:
        kind = self.kind
        model = self._models[kind]
        slider = model.slider
        form = self.form
        if form is None:
            # A single section has areas, a volume has none.
            unused = "smallest_um3" if self._is_flat else "smallest_um2"
            hidden = ("object_class", unused, *([slider] if slider else []))
            names = [name for name in editable_fields(model) if name not in hidden]
            simple = names[:_N_SIMPLE] if len(names) > _N_SIMPLE + 1 else ()
            form = self._forms_by_kind[kind, self._is_flat] = SettingsForm(
                model, value, simple, hidden=("kind", *hidden)
            )
            form.changed.connect(self._on_edited)
            self._forms.addWidget(form)
        elif value is not None:
            form.set_value(value)
        if slider is not None:
            if value is not None or kind not in self._sliders:
                self._sliders[kind] = getattr(value if value is not None else model.model_validate({}), slider)
            self.slider.show_field(model, slider, self._sliders[kind])
        for shown in self._forms_by_kind.values():
            shown.setVisible(shown is form)
        self.slider.setVisible(slider is not None)
        self.about.setText(_about(model))

    def _on_edited(self) -> None:
        self.changed.emit()


class MaskFields(QWidget):
    """The class that restricts objects, and how; hidden while no prediction has classes."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode = Combo()
        self.mode.setObjectName("maskMode")
        self.mode.setToolTip("Restrict objects by a class that was predicted, also by another model.")
        for number, (title, value, tip) in enumerate(_MODES):
            self.mode.addItem(title, value)
            self.mode.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.classes = Combo()
        self.classes.setObjectName("maskClass")
        self.classes.setToolTip("The class, and the model that predicted it.")
        self.fields = form(("Restrict", self.mode), ("Class", self.classes))
        self.setLayout(self.fields)
        self.fields.setRowVisible(self.classes, False)
        self.mode.currentIndexChanged.connect(self._on_mode)
        self.classes.currentIndexChanged.connect(self.changed)

    @property
    def value(self) -> MaskChoice | None:
        """The class that restricts objects; None for none."""
        mode, chosen = self.mode.currentData(), self.classes.currentData()
        if mode is None or chosen is None:
            return None
        prediction, name = chosen
        return MaskChoice(prediction, name, mode)

    def show_facts(self, facts: Sequence[PredictionFacts]) -> None:
        """Offer the classes of these predictions."""
        found = [
            ((fact.prediction.id, name), f"{name} ({fact.prediction.model})")
            for fact in facts
            for name in fact.kind.object_names
        ]
        chosen = self.classes.currentData()
        if [self.classes.itemData(k) for k in range(self.classes.count())] == [value for value, _ in found]:
            return
        with QSignalBlocker(self.classes):
            self.classes.clear()
            for value, title in found:
                self.classes.addItem(title, value)
            self.classes.setCurrentIndex(max(0, self.classes.findData(chosen)))
        self.setVisible(bool(found))
        if not found:
            self.mode.setCurrentIndex(0)
        elif self.classes.currentData() != chosen:
            self.changed.emit()

    def _on_mode(self) -> None:
        self.fields.setRowVisible(self.classes, self.mode.currentData() is not None)
        self.changed.emit()


def _about(model: type[DecoderSettings]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())
