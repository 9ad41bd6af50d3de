"""Packages of the extra [formats], which need not be installed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.optional_packages import optional_package


def test_a_package_that_is_there_is_imported() -> None:
    assert optional_package("math", Path("a.mrc"), "an MRC file") is math


def test_a_package_that_is_not_there_is_named_with_the_way_to_install_it() -> None:
    with pytest.raises(VolumeError) as caught:
        optional_package("napari_pytc_of_no_such_package", Path("a.mrc"), "an MRC file")
    assert caught.value.message == "a.mrc is an MRC file, which needs the package napari_pytc_of_no_such_package."
    assert 'pip install "napari-pytc[formats]"' in caught.value.hint
