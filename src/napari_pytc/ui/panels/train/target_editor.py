"""The settings of a target: a table of its channels, or a form of the channels that separate objects."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.geometry import Shape
from napari_pytc.plans.targets import AnyTarget, ChannelsTarget, InstancesTarget
from napari_pytc.ui.panels.train.channel_table import ChannelTable
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.forms.editors import OptionalEditor
from napari_pytc.ui.widgets.forms.offsets import OffsetsEditor
from napari_pytc.volumes.roles import AffinityRole, ChannelRole

_FACES: tuple[Shape, ...] = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))


class TargetEditor(QWidget):
    """What the network learns to predict, as far as it can be set; a target of classes has no settings."""

    changed = Signal()
    """`target` or `problem` is another one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.channels = ChannelTable()
        """The channels of a target that says each."""
        self.objects = SettingsForm(
            InstancesTarget, editors={"offsets": lambda: OptionalEditor(OffsetsEditor(), _FACES)}, path="target"
        )
        """The kinds of channels of a target of instances."""
        self._target: AnyTarget | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.channels, self.objects):
            layout.addWidget(part)
            part.changed.connect(self.changed)

    def set_target(self, target: AnyTarget) -> None:
        """Show the settings of a target."""
        self._target = target
        self.channels.setVisible(isinstance(target, ChannelsTarget))
        self.objects.setVisible(isinstance(target, InstancesTarget))
        with QSignalBlocker(self):
            if isinstance(target, ChannelsTarget):
                self.channels.set_target(target)
            elif isinstance(target, InstancesTarget):
                self.objects.set_value(target)

    @property
    def has_settings(self) -> bool:
        """Whether there is anything to set."""
        return isinstance(self._target, ChannelsTarget | InstancesTarget)

    @property
    def problem(self) -> str:
        """Reason why there is no target, in one sentence; empty if there is one."""
        if isinstance(self._target, ChannelsTarget):
            return self.channels.problem
        return self.objects.problem if isinstance(self._target, InstancesTarget) else ""

    @property
    def target(self) -> AnyTarget | None:
        """The target as it is shown; None while there is a `problem`, and before any was set."""
        if self.problem:
            return None
        if isinstance(self._target, ChannelsTarget):
            return self.channels.target
        if isinstance(self._target, InstancesTarget):
            found = self.objects.value()
            assert isinstance(found, InstancesTarget)
            return found
        return self._target

    def suggest_offsets(self, roles: Sequence[ChannelRole]) -> None:
        """Show the offsets that the voxel size gives, to begin with where others are wanted."""
        offsets = tuple(role.offset for role in roles if isinstance(role, AffinityRole))
        if offsets:
            self.objects.suggest("offsets", offsets)
