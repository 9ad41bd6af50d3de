"""The recipe to train by, its settings as edited, and the model to begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.geometry import VoxelSpace

if TYPE_CHECKING:
    from napari_pytc.plans.plan import TrainPlan
    from napari_pytc.session.records import ModelRecord
    from napari_pytc.ui.workspace import Workspace
    from napari_pytc.volumes.roles import ChannelRole

FIRST_RECIPE = "instant"


class RecipeController(QObject):
    """Reads recipes and the settings of models in the helper thread, and hands the edited plan to the launcher.

    Parameters
    ----------
    workspace : Workspace
        Its models can be begun with; its launcher trains with the plan, also by a shortcut.
    """

    changed = Signal()
    """Plan, parent or problem is another one."""
    loaded = Signal()
    """A plan was read: `loaded_plan` is to be shown, with `recipe` as its name."""
    failed = Signal(object)
    """A `PytcError`: nothing could be read, `recipe` stays chosen."""
    parents_changed = Signal()
    roles_changed = Signal()
    """The answer of `roles` may be another one."""

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._generation = 0
        self._is_parent_chosen = False
        self.recipes: dict[str, str] = {}
        """Description of each recipe by name or path."""
        self.recipe = FIRST_RECIPE
        """Name of the recipe that is chosen, or the path of its file."""
        self.loaded_plan: TrainPlan | None = None
        """The recipe's settings; None before the first was read."""
        self.plan: TrainPlan | None = None
        """The settings as edited; None while they are wrong."""
        self.problem = "The recipe is being read."
        """Reason why there is no plan to train; empty if there is one."""
        self.parents: list[ModelRecord] = []
        """Sound models, the newest first."""
        self.parent_record: ModelRecord | None = None
        """The model to begin with; None for a new one."""
        workspace.project_changed.connect(self._on_project_changed)
        workspace.models_changed.connect(self._read_parents)
        workspace.classes_changed.connect(self._read_parents)
        for signal in (workspace.session_changed, workspace.classes_changed, workspace.volumes_changed):
            signal.connect(self.roles_changed)
        self._read_parents()

    @property
    def parent_model(self) -> str | None:
        """Id of the model to begin with; None for a new one."""
        return None if self.parent_record is None else self.parent_record.id

    @property
    def is_edited(self) -> bool:
        """Whether the settings differ from the recipe's."""
        return bool(self.problem) or self.plan != self.loaded_plan

    @property
    def parent_text(self) -> str:
        """Role of the model to begin with in the training, in sentences; empty if there is nothing to mention."""
        parent, plan = self.parent_record, self.plan
        if parent is None or plan is None:
            return ""
        sentences = []
        if plan.network.learns_from == "voxels" and plan.distil_weight:
            sentences.append(f"Trained afresh, it stays near what {parent.name} answers where you did not paint.")
        elif parent.recipe != plan.recipe:
            sentences.append(
                f"{parent.name} was trained with {parent.recipe}: what does not fit into this network begins anew."
            )
        elif not self._is_parent_chosen:
            sentences.append("Goes on from this recipe's last model.")
        if not self._is_parent_chosen:
            sentences.append("After erasing wrong strokes choose “a new model”.")
        return " ".join(sentences)

    def roles(self, plan: TrainPlan) -> tuple[ChannelRole, ...] | None:
        """The channels that a plan's target has in the project; None where they are not known before a training."""
        session = self._workspace.session
        if session is None or (plan.voxel_size_nm is None and len(session.volumes.names) > 1):
            return None
        space = session.image.volume.space if plan.voxel_size_nm is None else VoxelSpace(plan.voxel_size_nm)
        try:
            return plan.target.of_classes(session.classes.names).roles(session.classes.names, space)
        except PytcError:
            return None  # the training says so

    def begin(self) -> None:
        """Read the list of recipes and the first of them, unless that was done."""
        if not self.recipes:
            from napari_pytc.plans.recipes import recipes

            self.recipes = dict(recipes())
            self.load(FIRST_RECIPE)

    def load(self, recipe: str | Path) -> None:
        """Read a built-in recipe or one of a file."""

        def read() -> TrainPlan:
            from napari_pytc.plans.losses import LossSettings
            from napari_pytc.plans.networks import NetworkSettings
            from napari_pytc.plans.recipes import load_recipe

            for family in (NetworkSettings, LossSettings):
                family.load_others()  # reads the metadata of all packages; the form would in the window's thread
            return load_recipe(recipe)

        self._read(read, lambda plan: str(recipe))

    def choose_recipe(self, recipe: str | Path) -> None:
        """Read a recipe, with the last model of it to begin with."""
        self._is_parent_chosen = False
        self.load(recipe)

    def choose_parent(self, record: ModelRecord | None) -> None:
        """Begin with a model and take over its settings; None for a new model with the recipe's settings."""
        self._is_parent_chosen = True
        self.parent_record = record
        if record is None:
            if self.loaded_plan is not None:
                self._publish()
            self.load(self.recipe)
            return

        def read() -> TrainPlan:
            from napari_pytc.plans.model_folder import read_model_info

            return read_model_info(record.folder).plan

        self._read(read, lambda plan: plan.recipe if plan.recipe in self.recipes else self.recipe)

    def set_plan(self, plan: TrainPlan | None, problem: str = "") -> None:
        """Set the edited settings; None with their problem."""
        if (plan, problem) != (self.plan, self.problem):
            self.plan, self.problem = plan, problem
            self._publish()

    def save(self, path: Path) -> None:
        """Write the settings as edited to a YAML file, which becomes the recipe."""
        if self.plan is not None:
            self.save_plan(self.plan, path, f"Made from {self.plan.recipe} in napari-pytc.")

    def save_plan(self, plan: TrainPlan, path: Path, about: str) -> None:
        """Write a plan to a YAML file that begins with a sentence, and which becomes the recipe."""

        def write() -> TrainPlan:
            from napari_pytc.plans.recipes import load_recipe, recipe_yaml

            try:
                path.write_text(recipe_yaml(plan, about), encoding="utf-8")
            except OSError as error:
                raise InvalidInput(f"{path} cannot be written: {error}.", "Choose another folder.") from error
            return load_recipe(path)

        self._read(write, lambda saved: str(path), f"Saved the recipe {path}.")

    # ---- private

    def _read(self, read: Callable[[], TrainPlan], name: Callable[[TrainPlan], str], message: str = "") -> None:
        """Read a plan in the helper thread; an answer that was overtaken by another choice is dropped.

        Parameters
        ----------
        name : callable
            Name of the recipe that a plan is of, or the path of its file.
        message : str
            Shown in the status bar once it was read.
        """
        self._generation += 1
        generation = self._generation

        def on_result(plan: TrainPlan) -> None:
            if generation == self._generation:
                self.recipe = name(plan)
                self.recipes.setdefault(self.recipe, f"Your file {self.recipe}.")
                self.loaded_plan = self.plan = plan
                self.problem = ""
                self._find_parents()
                self.loaded.emit()
                self._publish()
                if message:
                    self._workspace.viewer.show_status(message)

        def on_error(error: PytcError) -> None:
            if generation == self._generation:
                self.failed.emit(error)

        self._workspace.background.run(read, on_result, on_error, receiver=self)

    def _publish(self) -> None:
        launcher = self._workspace.launcher
        launcher.plan, launcher.plan_problem, launcher.parent_model = self.plan, self.problem, self.parent_model
        self.changed.emit()

    def _on_project_changed(self) -> None:
        self._is_parent_chosen = False
        self._read_parents()

    def _read_parents(self) -> None:
        """Read the models again; the chosen parent stays chosen while it is there."""
        before = self.parent_model
        self._find_parents()
        if self.loaded_plan is not None and self.parent_model != before:
            self._publish()

    def _find_parents(self) -> None:
        session, before = self._workspace.session, self.parent_model
        records = [] if session is None else [record for record in session.models.records() if not record.problem]
        chosen = before if self._is_parent_chosen else self._last_of_recipe(records)
        self.parents = list(reversed(records))
        self.parent_record = next((record for record in records if record.id == chosen), None)
        self.parents_changed.emit()

    def _last_of_recipe(self, records: Sequence[ModelRecord]) -> str | None:
        """Id of the recipe's model in use, else of its newest; none that was found worse or has other classes."""
        plan, session = self.loaded_plan, self._workspace.session
        if plan is None or session is None:
            return None
        names = session.classes.names
        fitting = [
            record
            for record in records
            if record.recipe == plan.recipe
            and (record.active or record.refusal is None)
            and (plan.target.kind != "classes" or record.classes == names)
        ]
        in_use = [record for record in fitting if record.active]
        return (in_use or fitting)[-1].id if fitting else None
