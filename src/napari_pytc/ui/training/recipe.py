"""How to train: recipe, starting point, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.learning.config import TrainPlan
from napari_pytc.ui.forms import SettingsForm
from napari_pytc.ui.forms.editors import narrow_combo
from napari_pytc.ui.parts import Notice, allow, row, wrapped

if TYPE_CHECKING:
    from napari_pytc.session.records import ModelRecord
    from napari_pytc.ui.workspace import Workspace

FIRST_RECIPE = "instant"
SIMPLE = ("steps", "minutes", "class_balance")
_OTHER = "\0other"
_YAML = "Recipes (*.yaml *.yml)"


class RecipeChooser(QWidget):
    """A recipe, whether it begins with a model, and its settings; everything that is read from files is read aside.

    Its settings are a widget of their own, `settings`, for the panel to place.

    Parameters
    ----------
    workspace : Workspace
        Is told the plan and the parent that are chosen, for its shortcut.
    """

    changed = Signal()
    built = Signal()
    """The settings were read for the first time, and `settings` has their controls now."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._form: SettingsForm | None = None
        self._as_read: TrainPlan | None = None
        self._generation = 0
        self._abouts: dict[str, str] = {}
        self._chosen = FIRST_RECIPE
        self._is_parent_chosen = False
        self.notice = Notice()
        self.combo, self.parents = narrow_combo(), narrow_combo()
        self.combo.setObjectName("recipeCombo")
        self.combo.setToolTip("A recipe has all settings of a training. Begin with instant; fast is better.")
        self.parents.setObjectName("parentCombo")
        self.parents.setToolTip(
            "Begin with a model and teach it more, or begin anew. With a model, instant and fast stay near what it "
            "answers where you did not paint, so that corrections do not bring back other errors. From the second "
            "training on it is the recipe's last model, unless you choose. Choosing a model also takes over its "
            "settings."
        )
        self._about = wrapped(dim=True)
        self._fit = wrapped()
        self.save_button, self.reset_button = QPushButton("Save as recipe…"), QPushButton("Reset")
        self.save_button.setObjectName("saveRecipeButton")
        self.reset_button.setObjectName("resetButton")
        top = QFormLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        top.addRow("Recipe", self.combo)
        top.addRow(self._about)
        top.addRow("Begin with", self.parents)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self._fit)
        layout.addWidget(self.notice)
        self.settings = QWidget()
        self._settings = QVBoxLayout(self.settings)
        self._settings.setContentsMargins(0, 0, 0, 0)
        self._settings.addLayout(row(self.save_button, self.reset_button, 1))
        self._fit.hide()
        self._fill_recipes()
        self._show_models()
        self.combo.activated.connect(self._choose_recipe)
        self.parents.activated.connect(self._choose_parent)
        self.save_button.clicked.connect(self._save)
        self.reset_button.clicked.connect(self._reset)
        workspace.session_changed.connect(self._on_session)
        workspace.models_changed.connect(self._show_models)
        workspace.classes_changed.connect(self._show_models)
        self.load(FIRST_RECIPE)

    @property
    def problem(self) -> str:
        """Why there is no plan to train; empty if there is one."""
        if self._form is None:
            return "The recipe is being read."
        return self._form.problem

    @property
    def plan(self) -> TrainPlan:
        """The settings as they are shown; `InvalidInput` while there is a `problem`."""
        if self._form is None:
            raise InvalidInput(self.problem, "Wait a moment.")
        plan = self._form.value()
        assert isinstance(plan, TrainPlan)
        return plan

    @property
    def parent_model(self) -> str | None:
        """Id of the model to begin with; None for a new one."""
        found = self.parents.currentData()
        return None if found is None else str(found.id)

    @property
    def form(self) -> SettingsForm | None:
        """The settings; None until the first recipe was read."""
        return self._form

    def load(self, recipe: str | Path) -> None:
        """Show a built-in recipe's settings or those of a file."""

        def read() -> TrainPlan:
            from napari_pytc.learning.networks import NetworkSettings
            from napari_pytc.learning.recipes import load_recipe

            NetworkSettings.variants()  # reads the metadata of all packages; the form would in the window's thread
            return load_recipe(recipe)

        def done(plan: TrainPlan) -> None:
            self._remember(str(recipe))
            self._show_plan(plan)

        self._read(read, done)

    # ---- what follows is ours

    def _read(self, work: Callable[[], TrainPlan], done: Callable[[TrainPlan], None]) -> None:
        """Read a plan aside; an answer that was overtaken by another choice is dropped."""
        self._generation += 1
        generation = self._generation

        def succeed(plan: TrainPlan) -> None:
            if generation == self._generation:
                self.notice.clear()
                done(plan)

        def fail(error: PytcError) -> None:
            if generation == self._generation:
                self.notice.show_error(error)
                self._select(self._chosen)

        self._workspace.background.run(work, succeed, fail, receiver=self)

    def _show_plan(self, plan: TrainPlan) -> None:
        self._as_read = plan
        self._show_models()
        if self._form is None:
            self._form = SettingsForm(TrainPlan, plan, SIMPLE, hidden=("recipe", "target", "decoder"))
            self._settings.insertWidget(0, self._form)
            self._form.changed.connect(self._edited)
            self.built.emit()
            self._edited()
        else:
            self._form.set_value(plan)

    def _edited(self) -> None:
        is_changed = bool(self.problem) or self.plan != self._as_read
        allow(self.save_button, self.problem, "Write these settings into a YAML file, to use again and to share.")
        allow(self.reset_button, "" if is_changed else "nothing was changed.", "Go back to the recipe's settings.")
        self._tell()

    def _tell(self) -> None:
        self._workspace.plan = None if self.problem else self.plan
        self._workspace.plan_problem = self.problem
        self._workspace.parent_model = self.parent_model
        self._tell_of_parent()
        self.changed.emit()

    def _tell_of_parent(self) -> None:
        """Say what becomes of the model to begin with."""
        parent: ModelRecord | None = self.parents.currentData()
        self._fit.hide()
        if parent is None or self.problem:
            return
        said = []
        if self.plan.network.learns_from == "voxels" and self.plan.distil_weight:
            said.append(f"Trained afresh, it stays near what {parent.name} answers where you did not paint.")
        elif parent.recipe != self.plan.recipe:
            said.append(
                f"{parent.name} was trained with {parent.recipe}: what does not fit into this network begins anew."
            )
        elif not self._is_parent_chosen:
            said.append("Goes on from this recipe's last model.")
        if not self._is_parent_chosen:
            said.append("After erasing wrong strokes choose “a new model”.")
        if not said:
            return
        self._fit.setText(" ".join(said))
        self._fit.show()

    def _fill_recipes(self) -> None:
        from napari_pytc.learning.recipes import recipes

        self._abouts = dict(recipes())
        for name in self._abouts:
            self.combo.addItem(name, name)
        self.combo.insertSeparator(self.combo.count())
        self.combo.addItem("Other file…", _OTHER)
        self._select(FIRST_RECIPE)

    def _remember(self, recipe: str) -> None:
        """Keep a recipe in the list and select it."""
        if self.combo.findData(recipe) < 0:
            place = self.combo.count() - 2
            self.combo.insertItem(place, Path(recipe).name, recipe)
            self._abouts[recipe] = f"Your file {recipe}."
        self._chosen = recipe
        self._select(recipe)

    def _select(self, recipe: str) -> None:
        self.combo.setCurrentIndex(self.combo.findData(recipe))
        self._about.setText(self._abouts.get(recipe, ""))

    def _choose_recipe(self) -> None:
        recipe = self.combo.currentData()
        if recipe == _OTHER:
            recipe, _ = QFileDialog.getOpenFileName(self, "Recipe", "", _YAML)
            if not recipe:
                self._select(self._chosen)
                return
        self._about.setText(self._abouts.get(recipe, ""))
        self._is_parent_chosen = False
        self.load(recipe)

    def _choose_parent(self) -> None:
        self._is_parent_chosen = True
        record: ModelRecord | None = self.parents.currentData()
        if record is None:
            self._select(self._chosen)
            if self._form is not None:
                self._tell()
            self.load(self._chosen)
            return

        def read() -> TrainPlan:
            from napari_pytc.learning.model_folder import read_model_info

            return read_model_info(record.folder).plan

        def done(plan: TrainPlan) -> None:
            if self.combo.findData(plan.recipe) >= 0:
                self._remember(plan.recipe)
            self._show_plan(plan)

        self._read(read, done)

    def _on_session(self) -> None:
        self._is_parent_chosen = False
        self._show_models()

    def _show_models(self) -> None:
        """Sound models, the newest first; what was chosen stays so while it is there."""
        session, before = self._workspace.session, self.parent_model
        records = [] if session is None else [record for record in session.models() if not record.problem]
        chosen = before if self._is_parent_chosen else self._last_of_recipe(records)
        with QSignalBlocker(self.parents):
            self.parents.clear()
            self.parents.addItem("a new model", None)
            for record in reversed(records):
                mean = record.scores.get("mean")
                self.parents.addItem(record.name if mean is None else f"{record.name} · Dice {mean:.2f}", record)
                if record.id == chosen:
                    self.parents.setCurrentIndex(self.parents.count() - 1)
        if self._form is not None and self.parent_model != before:
            self._tell()

    def _last_of_recipe(self, records: Sequence[ModelRecord]) -> str | None:
        """Id of the recipe's model in use, else of its newest; none that was found worse or knows other classes."""
        plan, session = self._as_read, self._workspace.session
        if plan is None or session is None:
            return None
        names = tuple(one.name for one in session.classes)
        fitting = [
            record
            for record in records
            if record.recipe == plan.recipe
            and (record.active or record.refusal is None)
            and (plan.target.kind != "classes" or record.classes == names)
        ]
        in_use = [record for record in fitting if record.active]
        return (in_use or fitting)[-1].id if fitting else None

    def _reset(self) -> None:
        if self._form is not None and self._as_read is not None:
            self._form.set_value(self._as_read)

    def _save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save as recipe", f"{self.plan.recipe}-mine.yaml", _YAML)
        if not chosen:
            return
        path = Path(chosen)
        path = path if path.suffix in (".yaml", ".yml") else path.with_name(f"{path.name}.yaml")
        plan = self.plan

        def write() -> TrainPlan:
            from napari_pytc.learning.recipes import load_recipe, recipe_yaml

            try:
                path.write_text(recipe_yaml(plan, f"Made from {plan.recipe} in napari-pytc."), encoding="utf-8")
            except OSError as error:
                raise InvalidInput(f"{path} cannot be written: {error}.", "Choose another folder.") from error
            return load_recipe(path)

        def done(saved: TrainPlan) -> None:
            self._remember(str(path))
            self._show_plan(saved)
            self._workspace.viewer.show_status(f"Saved the recipe {path}.")

        self._read(write, done)
