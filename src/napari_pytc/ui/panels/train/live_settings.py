"""Settings of live learning: the recipe of its network, and the fields of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.ui.panels.train.live_controller import LiveController
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.notice import Notice

if TYPE_CHECKING:
    from napari_pytc.plans.live_plan import LivePlan
    from napari_pytc.ui.workspace import Workspace

_NETWORK = "fast"


class LiveSettings(QWidget):
    """Form of the settings of live learning; they count from the next time it is switched on.

    It is filled when it is first shown, because recipes are files.

    Parameters
    ----------
    workspace : Workspace
        Reads recipes in its helper thread.
    live : LiveController
        Receives the plan.
    """

    def __init__(self, workspace: Workspace, live: LiveController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._live = workspace, live
        self.form: SettingsForm | None = None
        self.network = Combo()
        self.network.setObjectName("liveNetwork")
        self.network.setToolTip("The recipe of the network that learns behind the instant model.")
        self.notice = Notice()
        self.remark = wrapped("Changes count from the next time Live is switched on.", dim=True)
        top = QFormLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        top.addRow("Network", self.network)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(8, 0, 0, 0)
        self._layout.addLayout(top)
        self._layout.addWidget(self.notice)
        self._layout.addWidget(self.remark)
        self.network.activated.connect(self._choose)

    def fill(self, is_shown: bool = True) -> None:
        """Read the recipes and build the form, once."""
        if is_shown and self.form is None:
            self._workspace.background.run(_read, self._fill, self.notice.show_error, receiver=self)

    # ---- private

    def _fill(self, found: tuple[list[str], LivePlan]) -> None:
        names, plan = found
        if self.form is not None:
            return
        for name in names:
            self.network.addItem(name, name)
        self.network.setCurrentIndex(self.network.findData(_NETWORK))
        self.form = SettingsForm(type(plan), plan, hidden=("network", "instant"))
        self.form.changed.connect(self._on_changed)
        self._layout.insertWidget(1, self.form)

    def _choose(self) -> None:
        name = str(self.network.currentData())

        def take(plan: LivePlan) -> None:
            assert self.form is not None
            now = self.form.value()
            self.notice.clear()
            self.form.set_value(now.model_copy(update={"network": plan.network}))

        def fail(error: PytcError) -> None:
            self.notice.show_error(error)
            self.network.setCurrentIndex(self.network.findData(_NETWORK))

        self._workspace.background.run(lambda: _plan_with(name), take, fail, receiver=self)

    def _on_changed(self) -> None:
        if self.form is not None and not self.form.problem:
            plan: LivePlan = self.form.value()  # type: ignore[assignment]
            self._live.plan = plan


def _plan_with(network: str) -> LivePlan:
    from napari_pytc.plans.live_plan import LivePlan
    from napari_pytc.plans.recipes import load_recipe

    plan = LivePlan(network=load_recipe(network))
    plan.check()
    return plan


def _read() -> tuple[list[str], LivePlan]:
    """The recipes for live learning, and the default plan."""
    from napari_pytc.plans.recipes import recipes

    names = []
    for name in dict(recipes()):
        try:
            _plan_with(name)
        except PytcError:  # of objects
            continue
        names.append(name)
    return names, _plan_with(_NETWORK)
