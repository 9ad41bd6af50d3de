"""The table of channels for the documentation, made from their settings."""

from __future__ import annotations

from collections.abc import Iterator

from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS, Channel
from napari_pytc.volumes.roles import Activation, ChannelRole

_NEEDED = {"affinity": {"offset": (-1, 0, 0)}, "polarity": {"side": "pre"}}
_SPACE = VoxelSpace((10.0, 10.0, 10.0))


def example_roles(kind: type[Channel]) -> tuple[ChannelRole, ...]:
    """The roles of a channel of a kind with its default settings, of two classes."""
    name = str(kind.model_fields["role"].default)
    return kind.model_validate(_NEEDED.get(name, {})).roles(("a", "b"), _SPACE)


def own_activation(kind: type[Channel]) -> Activation:
    """The activation of a kind where none is given."""
    return example_roles(kind)[0].activates


def channel_table() -> str:
    """All roles in Markdown: what they are, their channels, activation and stored values, and where they are known."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| role | what it is | channels | activation (others) | stored 0 to 255 | known |"
    yield "|---|---|---|---|---|---|"
    for kind in CHANNEL_KINDS:
        yield _row(kind)


def _row(kind: type[Channel]) -> str:
    name = str(kind.model_fields["role"].default)
    roles = example_roles(kind)
    own = roles[0].activates
    others = ", ".join(one for one in kind.suits if one != own)
    what = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
    n = "one a class" if name == "classes" else str(len(roles))
    low, high = roles[0].span
    return f"| `{name}` | {what} | {n} | {own}{f' ({others})' if others else ''} | {low:g} to {high:g} | {kind.known} |"
