"""Whether a window can be opened here."""

from __future__ import annotations

import os
import sys

import pytest

HAS_DISPLAY = sys.platform in ("darwin", "win32") or bool(
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
)

needs_display = pytest.mark.skipif(
    not HAS_DISPLAY, reason="needs a display: run `make test`, or put `xvfb-run -a` before the command"
)
