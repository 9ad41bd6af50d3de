"""Settings models as rows of labels and editors."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_pytc.geometry import Shape
from napari_pytc.settings import Settings
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.forms.editors import (
    ChoiceEditor,
    Editor,
    NumberEditor,
    NumbersEditor,
    OptionalEditor,
    ShapeEditor,
    ValueEditor,
    YamlEditor,
)
from napari_pytc.ui.widgets.forms.fields import bounds_of, editable_fields, start_of, tooltip_of, unit_of
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import order_tabs


class Rows(Editor):
    """The fields of a settings model, one below the other.

    Parameters
    ----------
    model : type of Settings
        Its fields' titles are the labels, their descriptions the tooltips.
    names : sequence of str, optional
        The fields to show, in this order; by default all but those with a single possible value.
    path : str
        Dotted name of the model in the settings it is part of, as "augmentation".
    editors : mapping of str to callable
        Makes the editor of a field, where another one is wanted than suits its type.
    """

    def __init__(
        self,
        model: type[Settings],
        names: Sequence[str] | None = None,
        path: str = "",
        editors: Mapping[str, Callable[[], Editor]] = {},
    ) -> None:
        super().__init__()
        self._makers = editors
        self.editors: dict[str, Editor] = {}
        self._labels: dict[str, QLabel] = {}
        self._folds: dict[str, Fold] = {}
        """Of the fields that are settings themselves: one a subject."""
        self._fields = model.model_fields
        self._path = path
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setVerticalSpacing(4)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._row.addLayout(self._form)
        for name in editable_fields(model) if names is None else names:
            self._add(name)

    def value(self) -> dict[str, Any]:
        """Values by the fields' names."""
        return {name: editor.value() for name, editor in self.editors.items()}

    def set_value(self, value: Any) -> None:
        """Show the values of a settings object."""
        for name, editor in self.editors.items():
            editor.set_value(getattr(value, name))
            if isinstance(editor, VariantEditor):
                self._folds[name].setText(f"{self._fields[name].title or name}: {editor.kind}")

    def suggest(self, name: str, value: Any) -> None:
        """Show a value for an optional field that is left open."""
        editor = self.editors.get(name)
        if isinstance(editor, OptionalEditor) and editor.value() is None:
            editor.inner.set_value(value)

    def unreadable(self) -> Iterator[tuple[str, str]]:
        """Dotted names of fields whose text is no value, and why."""
        for name, editor in self.editors.items():
            if isinstance(editor, Rows | VariantEditor):
                yield from ((f"{name}.{inner}", why) for inner, why in editor.unreadable())
            elif editor.problem:
                yield name, editor.problem

    def title(self, dotted: str) -> str:
        """The titles along a dotted name: "Augmentation, Blur"."""
        name, _, rest = dotted.partition(".")
        if name not in self._fields:
            return dotted
        title = self._fields[name].title or name
        editor = self.editors.get(name)
        return f"{title}, {editor.title(rest)}" if rest and isinstance(editor, Rows | VariantEditor) else title

    def mark(self, dotted: str) -> None:
        """Mark the label of a field that has a problem, and no other."""
        first, _, rest = dotted.partition(".")
        for name, label in self._labels.items():
            title = self._fields[name].title or name
            label.setText(f"⚠ {title}" if name == first else title)
        for name, editor in self.editors.items():
            if isinstance(editor, Rows | VariantEditor):
                editor.mark(rest if name == first else "")
                if name == first:
                    self._folds[name].expand(animate=False)

    def show_matching(self, text: str) -> bool:
        """Show only the fields whose name, title or description has the text; returns whether there are any."""
        any_found = False
        for name, editor in self.editors.items():
            field = self._fields[name]
            words = f"{self._dotted(name)} {field.title} {field.description}".lower()
            found = text.lower() in words
            if isinstance(editor, Rows | VariantEditor):
                inside = editor.show_matching("" if found else text)
                if text and (inside or found):
                    self._folds[name].expand(animate=False)
                found = inside or found
            self.show_field(name, found)
            any_found = any_found or found
        return any_found

    def show_field(self, name: str, is_shown: bool) -> None:
        """Show a field or hide it."""
        self._form.setRowVisible(self._shown(name), is_shown)
        if self.editors[name].is_wide:
            self._form.setRowVisible(self._labels[name], is_shown)

    def _add(self, name: str) -> None:
        field = self._fields[name]
        editor = self._makers[name]() if name in self._makers else editor_of(field, self._dotted(name))
        editor.setObjectName(self._dotted(name))
        title, tip = field.title or name, tooltip_of(field, self._dotted(name))
        editor.setToolTip(tip)
        self.editors[name] = editor
        editor.changed.connect(self.changed)
        if isinstance(editor, Rows | VariantEditor):
            self._folds[name] = fold = Fold(title, _indented(editor))
            fold.toggleButton().setToolTip(tip)
            if isinstance(editor, VariantEditor):
                editor.changed.connect(lambda: fold.setText(f"{title}: {editor.kind}"))
                fold.setText(f"{title}: {editor.kind}")
            self._form.addRow(fold)
            return
        label = QLabel(title)
        label.setToolTip(tip)
        label.setBuddy(editor)
        self._labels[name] = label
        if editor.is_wide:
            self._form.addRow(label)
            self._form.addRow(editor)
        else:
            self._form.addRow(label, editor)

    def _shown(self, name: str) -> QWidget:
        return self._folds.get(name) or self.editors[name]

    def _dotted(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


class VariantEditor(Editor):
    """Settings of one of several kinds: a combo box, and the rows of the kind that is chosen.

    What was set for a kind is kept while others are looked at.
    """

    def __init__(self, variants: Mapping[str, type[Settings]], path: str) -> None:
        super().__init__()
        self._path = path
        self._models = dict(variants)
        self._rows: dict[str, Rows] = {}
        self.combo = Combo()
        self.combo.setObjectName(f"{path}.kind")
        self._about = wrapped(dim=True)
        self._layout = QVBoxLayout()
        self._layout.addWidget(self.combo)
        self._layout.addWidget(self._about)
        self._row.addLayout(self._layout)
        for kind in self._models:
            self.combo.addItem(kind, kind)
        self._show_kind()
        self.combo.currentIndexChanged.connect(self._choose)
        self.setFocusProxy(self.combo)

    @property
    def kind(self) -> str:
        """The kind that is chosen."""
        return str(self.combo.currentData())

    def value(self) -> dict[str, Any]:
        """Values by name, ``kind`` among them."""
        return {"kind": self.kind, **self._rows[self.kind].value()}

    def set_value(self, value: Any) -> None:
        """Show settings of any kind."""
        if value.kind not in self._models:
            self._models[value.kind] = type(value)
            self.combo.addItem(value.kind, value.kind)
        self.combo.setCurrentIndex(self.combo.findData(value.kind))
        self._rows[value.kind].set_value(value)

    def unreadable(self) -> Iterator[tuple[str, str]]:
        """As `Rows.unreadable`."""
        return self._rows[self.kind].unreadable()

    def title(self, dotted: str) -> str:
        """As `Rows.title`."""
        return self._rows[self.kind].title(dotted)

    def mark(self, dotted: str) -> None:
        """As `Rows.mark`."""
        self._rows[self.kind].mark(dotted)

    def show_matching(self, text: str) -> bool:
        """As `Rows.show_matching`."""
        return self._rows[self.kind].show_matching(text)

    def _choose(self) -> None:
        self._show_kind()
        self.changed.emit()

    def _show_kind(self) -> None:
        model = self._models[self.kind]
        if self.kind not in self._rows:
            rows = Rows(model, path=self._path)
            rows.set_value(model())
            rows.changed.connect(self.changed)
            self._rows[self.kind] = rows
            self._layout.addWidget(rows)
            order_tabs(self)
        for kind, shown in self._rows.items():
            shown.setVisible(kind == self.kind)
        self._about.setText(" ".join((model.__doc__ or "").strip().split("\n\n")[0].split()))


def _indented(editor: Editor) -> QWidget:
    """An editor in a fold, a little to the right of its title."""
    inside = QWidget()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(12, 0, 0, 4)
    layout.addWidget(editor)
    return inside


def editor_of(field: FieldInfo, path: str) -> Editor:
    """The editor that suits a field's type."""
    return _editor(field.annotation, field, unit_of(field), path)


def _editor(kind: Any, field: FieldInfo, unit: str, path: str) -> Editor:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        some = [one for one in inner if one is not type(None)]
        if len(some) == 1:
            value = _editor(some[0], field, unit, path)
            return OptionalEditor(value, start_of(some[0]))
        if not all(isinstance(one, type) and issubclass(one, Settings) for one in some):
            return YamlEditor()  # as a number or a list of numbers
        return VariantEditor({one.model_fields["kind"].default: one for one in some}, path)
    if origin is Literal:
        return ChoiceEditor(inner)
    if kind == Shape:
        return ShapeEditor()
    if origin is tuple and set(inner) <= {int, float, Ellipsis}:
        return NumbersEditor(inner[0] is int, None if Ellipsis in inner else len(inner))
    if origin is tuple:
        return YamlEditor()
    if isinstance(kind, type) and issubclass(kind, Settings):
        variants = getattr(kind, "variants", None)
        return Rows(kind, path=path) if variants is None else VariantEditor(variants(), path)
    if kind in (bool, str):
        return ValueEditor(kind)
    if kind in (int, float):
        return NumberEditor(kind is int, *bounds_of(field, kind is int), unit)
    raise TypeError(f"No editor is known for {path}: {kind}")
