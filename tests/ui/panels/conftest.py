"""The fixture that tests of panels share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from tests.support.workspaces import FakeWorkspace


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    yield workspace
    workspace.shutdown()
