"""Libraries of formats that are installed on request."""

from __future__ import annotations

from importlib.util import find_spec

from napari_pytc.errors import InvalidInput


def require(module: str, title: str, extra: str = "formats") -> None:
    """Refuse a format whose library is not installed, with the command that installs it."""
    if find_spec(module) is None:
        raise InvalidInput(
            f"{title} needs the package {module}, which is not installed.",
            f'Install it: pip install "napari-pytc[{extra}]".',
        )
