"""A real brush in a held-out box."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.geometry import Box
from tests.support.display import needs_display
from tests.ui.canvas.viewer.test_viewer import Window, open_window, project, window  # noqa: F401 fixtures


@pytest.mark.slow
@needs_display
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_real_brush_leaves_nothing_behind_in_a_held_out_box(window: Window) -> None:  # noqa: F811
    found = window
    found.session.held_out.add(Box((0, 0, 40), (12, 96, 80)))
    found.layers.choose_class(2)
    section = int(found.viewer.dims.current_step[0])
    found.drag((section, 40, 10), (section, 40, 30), (section, 40, 50), (section, 40, 70))
    n_saved = found.saved()["inside"]
    assert n_saved > 50
    found.settle()
    shown = np.asarray(found.layers.strokes._slice.image.raw)
    assert shown[:, :40].any()
    assert not shown[:, 40:].any()
    assert np.count_nonzero(shown) == n_saved
