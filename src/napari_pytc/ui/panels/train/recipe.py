"""Form of the recipe: recipe, starting point, settings."""

from __future__ import annotations

import math
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QPushButton, QVBoxLayout, QWidget
from superqt.utils import QFlowLayout

from napari_pytc.errors import PytcError
from napari_pytc.plans.networks import NetworkSettings
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.ui.panels.train.loss_table import LossTable
from napari_pytc.ui.panels.train.recipe_controller import RecipeController
from napari_pytc.ui.panels.train.target_editor import TargetEditor
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import section
from napari_pytc.ui.widgets.notes import NoteList
from napari_pytc.ui.widgets.notice import Notice

SIMPLE = ("steps", "minutes", "class_balance")
_OTHER = "\0other"
_YAML = "Recipes (*.yaml *.yml)"


class RecipeChooser(QWidget):
    """A recipe, whether it begins with a model, and its settings.

    Its settings are a widget of their own, `settings`, for the panel to place.

    Parameters
    ----------
    controller : RecipeController
        Controller of the recipe that is shown and edited.
    """

    built = Signal()
    """The settings were read for the first time, and `settings` has their controls now."""

    def __init__(self, controller: RecipeController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._form: SettingsForm | None = None
        self.target: TargetEditor | None = None
        """What is learnt; None until the first recipe was read."""
        self.losses: LossTable | None = None
        """The terms of the loss; None until the first recipe was read."""
        self._last: TrainPlan | None = None
        """The last settings without a problem."""
        self._target_box = QWidget()
        self.notice = Notice()
        self.combo = Combo(
            "recipeCombo", "A recipe has all settings of a training. Begin with instant; fast is better."
        )
        self.parents = Combo(
            "parentCombo",
            "Begin with a model and teach it more, or begin anew. With a model, instant and fast stay near what it "
            "answers where you did not paint, so that corrections do not bring back other errors. From the second "
            "training on it is the recipe's last model, unless you choose. Choosing a model also takes over its "
            "settings.",
        )
        self._about = wrapped(dim=True)
        self.parent_note = wrapped()
        self.notes = NoteList("recipeNotes")
        """Settings that have no effect, or may have none."""
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
        layout.addWidget(self.parent_note)
        layout.addWidget(self.notes)
        layout.addWidget(self.notice)
        self.settings = QWidget()
        self._settings = QVBoxLayout(self.settings)
        self._settings.setContentsMargins(0, 0, 0, 0)
        self.import_button = QPushButton("Import…")
        self.import_button.setObjectName("importRecipeButton")
        self.import_button.setToolTip("Import a recipe or a model of PyTorch Connectomics.")
        bar = QWidget()
        buttons = QFlowLayout(bar)  # in a narrow panel they take two lines
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(4)
        for button in (self.save_button, self.reset_button, self.import_button):
            buttons.addWidget(button)
        self._settings.addWidget(bar)
        self.combo.activated.connect(self._choose_recipe)
        self.parents.activated.connect(lambda: controller.choose_parent(self.parents.currentData()))
        self.save_button.clicked.connect(self._save)
        self.reset_button.clicked.connect(self._reset)
        controller.loaded.connect(self._show_plan)
        controller.failed.connect(self._show_error)
        controller.changed.connect(self.refresh)
        controller.parents_changed.connect(self._show_parents)
        controller.roles_changed.connect(self._on_roles)
        controller.begin()
        self._show_recipes()
        self._show_parents()
        if controller.loaded_plan is not None:
            self._show_plan()
        self.refresh()

    @property
    def form(self) -> SettingsForm | None:
        """The settings; None until the first recipe was read."""
        return self._form

    def refresh(self) -> None:
        """Show the actions on the settings, and how the model to begin with is used."""
        controller = self._controller
        unchanged = "" if controller.is_edited else "nothing was changed."
        allow(self.save_button, controller.problem, "Write these settings into a YAML file, to use again and to share.")
        allow(self.reset_button, unchanged, "Go back to the recipe's settings.")
        self.parent_note.setText(controller.parent_text)
        self.parent_note.setVisible(bool(controller.parent_text))
        plan = controller.plan
        self.notes.show_notes([] if plan is None else plan.notes())
        if plan is not None and self._form is not None:
            shown, problem = self._edited()
            if not problem and shown != plan:
                self._show(plan)  # edited in another panel

    # ---- private

    def _show_plan(self) -> None:
        plan = self._controller.loaded_plan
        assert plan is not None
        self.notice.clear()
        self._show_recipes()
        if self._form is None:
            losses = self.losses = LossTable()
            self.target = TargetEditor()
            self._form = SettingsForm(
                TrainPlan,
                plan,
                SIMPLE,
                hidden=("recipe", "target", "decoder"),
                editors={"losses": lambda: losses},
            )
            box, inside = section("Channels")
            inside.addWidget(self.target)
            self._target_box = box
            self._settings.insertWidget(0, box)
            self._settings.insertWidget(1, self._form)
            self.target.changed.connect(self._on_edited)
            self._form.changed.connect(self._on_edited)
            self.built.emit()
        self._show(plan)

    def _show(self, plan: TrainPlan) -> None:
        """Show other settings in place of what was edited, right or wrong."""
        assert self._form is not None
        self._last = plan
        # The form comes last: it tells that it changed, and what is shown is read then.
        assert self.target is not None
        self.target.set_target(plan.target)
        self._target_box.setVisible(self.target.has_settings)
        assert self.losses is not None
        self.losses.set_roles(self._controller.roles(plan), plan.network.learns_from == "voxels")
        self._form.set_value(plan)

    def _edited(self) -> tuple[TrainPlan | None, str]:
        """The settings as they are shown, or None with their problem."""
        form, target = self._form, self.target
        assert form is not None
        assert target is not None
        problem = form.problem or target.problem
        if problem:
            return None, problem
        plan = form.value()
        assert isinstance(plan, TrainPlan)
        plan = plan.model_copy(update={"target": target.target})
        try:
            plan.check()
        except PytcError as error:
            return None, str(error)
        return plan, ""

    def _on_edited(self) -> None:
        plan, problem = self._edited()
        self._last = plan or self._last
        self._controller.set_plan(plan, problem)
        self._on_roles()

    def _on_roles(self) -> None:
        """Judge the losses by the channels of now; the form is validated again where that makes a difference."""
        if self._form is not None and self.losses is not None and self._judge_losses():
            self.losses.changed.emit()

    def _judge_losses(self) -> bool:
        """Judge the losses by the channels of now, without a signal; whether their problem is another one."""
        last, target, losses, form = self._last, self.target, self.losses, self._form
        assert last is not None
        assert losses is not None
        assert form is not None
        assert target is not None
        if target.target is not None:
            last = last.model_copy(update={"target": target.target})
        # Not those of the last plan: a problem of the losses may be mended by another network.
        learns_from = NetworkSettings.variants()[form.shown("network")["kind"]].learns_from
        size = form.shown("voxel_size_nm")
        if size is None or (len(size) == 3 and all(0 < edge < math.inf for edge in size)):
            last = last.model_copy(update={"voxel_size_nm": size})
        roles = self._controller.roles(last)
        target.suggest_offsets(roles or ())
        return losses.set_roles(roles, learns_from == "voxels")

    def _show_error(self, error: PytcError) -> None:
        self.notice.show_error(error)
        self._show_recipes()

    def _show_recipes(self) -> None:
        """Show the recipes, and which is chosen."""
        controller = self._controller
        if self.combo.count() != len(controller.recipes) + 2:
            self.combo.clear()
            for recipe in controller.recipes:
                self.combo.addItem(Path(recipe).name, recipe)
            self.combo.insertSeparator(self.combo.count())
            self.combo.addItem("Other file…", _OTHER)
        self.combo.setCurrentIndex(self.combo.findData(controller.recipe))
        self._about.setText(controller.recipes.get(controller.recipe, ""))

    def _show_parents(self) -> None:
        with QSignalBlocker(self.parents):
            self.parents.clear()
            self.parents.addItem("a new model", None)
            for record in self._controller.parents:
                mean = record.scores.get("mean")
                self.parents.addItem(record.name if mean is None else f"{record.name} · Dice {mean:.2f}", record)
                if record == self._controller.parent_record:
                    self.parents.setCurrentIndex(self.parents.count() - 1)

    def _choose_recipe(self) -> None:
        recipe = self.combo.currentData()
        if recipe == _OTHER:
            recipe, _ = QFileDialog.getOpenFileName(self, "Recipe", "", _YAML)
            if not recipe:
                self._show_recipes()
                return
        self._about.setText(self._controller.recipes.get(recipe, ""))
        self._controller.choose_recipe(recipe)

    def _reset(self) -> None:
        if self._form is not None and self._controller.loaded_plan is not None:
            self._show(self._controller.loaded_plan)

    def _save(self) -> None:
        plan = self._controller.plan
        if plan is None:
            return
        chosen, _ = QFileDialog.getSaveFileName(self, "Save as recipe", f"{plan.recipe}-mine.yaml", _YAML)
        if chosen:
            path = Path(chosen)
            path = path if path.suffix in (".yaml", ".yml") else path.with_name(f"{path.name}.yaml")
            self._controller.save(path)
