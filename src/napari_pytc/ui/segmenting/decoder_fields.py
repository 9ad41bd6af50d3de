"""Which decoder, its settings, and the slider that moves without new supervoxels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.ui.controls import Combo, elastic
from napari_pytc.ui.forms import SettingsForm
from napari_pytc.ui.forms.fields import editable_fields
from napari_pytc.ui.parts import wrapped
from napari_pytc.ui.segmenting.merge_slider import MergeSlider

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.ui.segmenting.choices import PredictionFacts

ALL_OBJECTS = "All between boundaries"
_N_SIMPLE = 2


class DecoderFields(QWidget):
    """What was set for a decoder is kept while others are looked at."""

    changed = Signal()
    """Another decoder or setting, also by the slider."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = elastic(Combo())
        self.combo.setObjectName("decoderCombo")
        self.combo.setToolTip("How objects are made of the prediction.")
        self.about = wrapped(dim=True)
        self.objects = elastic(Combo())
        self.objects.setObjectName("objectClassCombo")
        self.objects.setToolTip("What becomes objects: all that lies between boundaries, or one class.")
        self.boundary = elastic(Combo())
        self.boundary.setObjectName("boundaryClassCombo")
        self.boundary.setToolTip("The class that stands for the boundary between objects.")
        self._first, self._fields = QFormLayout(), QFormLayout()
        for fields in self.forms:
            fields.setContentsMargins(0, 0, 0, 0)
            fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._first.addRow("Decoder", self.combo)
        self._fields.addRow("Boundary", self.boundary)
        self._fields.addRow("Objects", self.objects)
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
        self._known: dict[str, SettingsForm] = {}
        self._sliders: dict[str, float] = {}
        self._models: dict[str, type[DecoderSettings]] = {}
        self._facts: PredictionFacts | None = None
        self.combo.currentIndexChanged.connect(self._choose)
        for combo in (self.objects, self.boundary):
            combo.currentIndexChanged.connect(self._edited)

    @property
    def forms(self) -> tuple[QFormLayout, ...]:
        """Its rows that are always of the same names, to be lined up with others."""
        return self._first, self._fields

    @property
    def kind(self) -> str:
        """The decoder that is chosen; empty before there is one."""
        return self.combo.currentData() or ""

    @property
    def form(self) -> SettingsForm | None:
        """Its settings."""
        return self._known.get(self.kind)

    @property
    def boundary_class(self) -> str | None:
        """The class that stands for the boundary; None where the prediction says it itself."""
        return self.boundary.currentData() if self._asks_for_boundary else None

    @property
    def problem(self) -> str:
        """Why it cannot decode; empty if it can."""
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
        """Offer what fits a prediction; another prediction of the same kind leaves all as it is set."""
        before, self._facts, self._models = self._facts, facts, models
        if before is not None and (before.kind, before.first) == (facts.kind, facts.first):
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

    # ---- what follows is ours

    @property
    def _asks_for_boundary(self) -> bool:
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
        names = facts.kind.class_names
        with QSignalBlocker(self.objects):
            self.objects.clear()
            self.objects.addItem(ALL_OBJECTS, "")
            for name in names:
                self.objects.addItem(f"Class {name}", name)
            self.objects.setCurrentIndex(max(0, self.objects.findData(first.object_class)))
        with QSignalBlocker(self.boundary):
            self.boundary.clear()
            if facts.kind.boundary_class is None:
                self.boundary.addItem("None of them", None)
            for name in names:
                self.boundary.addItem(f"Class {name}", name)
            self.boundary.setCurrentIndex(max(0, self.boundary.findData(facts.kind.boundary_class)))
        self._fields.setRowVisible(self.objects, bool(names))
        self._fields.setRowVisible(self.boundary, self._asks_for_boundary)

    def _choose(self) -> None:
        if self.kind in self._models:
            self._show_form(None)
            self.changed.emit()

    def _show_form(self, value: DecoderSettings | None) -> None:
        kind = self.kind
        model = self._models[kind]
        slider = model.slider
        form = self._known.get(kind)
        if form is None:
            hidden = ("object_class", *([slider] if slider else []))
            names = [name for name in editable_fields(model) if name not in hidden]
            simple = names[:_N_SIMPLE] if len(names) > _N_SIMPLE + 1 else ()
            form = self._known[kind] = SettingsForm(model, value, simple, hidden=("kind", *hidden))
            form.changed.connect(self._edited)
            self._forms.addWidget(form)
        elif value is not None:
            form.set_value(value)
        if slider is not None:
            if value is not None or kind not in self._sliders:
                self._sliders[kind] = getattr(value if value is not None else model.model_validate({}), slider)
            self.slider.aim(model, slider, self._sliders[kind])
        for other, shown in self._known.items():
            shown.setVisible(other == kind)
        self.slider.setVisible(slider is not None)
        self.about.setText(_about(model))

    def _edited(self) -> None:
        self.changed.emit()


def _about(model: type[DecoderSettings]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())
