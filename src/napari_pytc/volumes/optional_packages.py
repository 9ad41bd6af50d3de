"""Packages of the extra [formats], which need not be installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from napari_pytc.errors import VolumeError

INSTALL = 'Install it: pip install "napari-pytc[formats]".'


def optional_package(name: str, where: object, kind: str) -> ModuleType:
    """A package that reads a kind of file.

    Parameters
    ----------
    where : object
        The file that is to be opened.
    kind : str
        What it is, with an article.

    Raises
    ------
    VolumeError
        If the package is not installed; the hint says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise VolumeError(f"{where} is {kind}, which needs the package {name}.", INSTALL) from error
