"""The bundled sample opens in napari from its menu, at its physical size."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

import napari_pytc
from tests.support.display import needs_display

KINDS = {"medulla": "image", "neurons (truth)": "labels", "membrane 1, inside 2 (truth)": "labels", "strokes": "labels"}


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(Path(napari_pytc.__file__).with_name("napari.yaml"))


def test_manifest_is_what_napari_finds_and_all_it_names_is_there(manifest: PluginManifest) -> None:
    assert (manifest.name, manifest.display_name) == ("napari-pytc", "PyTC")
    manifest.validate_imports()
    assert PluginManifest.from_distribution("napari-pytc") == manifest


def test_command_gives_layers_at_their_physical_size(manifest: PluginManifest, npe2pm: PluginManager) -> None:
    npe2pm.register(manifest)
    samples = {sample.key: sample for sample in manifest.contributions.sample_data or []}
    assert list(samples) == ["ready_to_paint", "medulla"]  # what most people want comes first
    sample = samples["medulla"]
    assert sample.display_name == "Drosophila medulla (FlyEM) as layers"
    layers = sample.open(_registry=npe2pm.commands)
    assert {options["name"]: kind for _, options, kind in layers} == KINDS
    for data, options, _ in layers:
        assert data.shape == (64, 192, 192)
        np.testing.assert_allclose(options["scale"], 10)
        assert options["units"] == ("nm", "nm", "nm")
    raw, _, truth, strokes = (np.asarray(data) for data, _, _ in layers)
    assert raw.std() > 10
    np.testing.assert_array_equal(strokes[strokes > 0], truth[strokes > 0])


@pytest.mark.slow
def test_opening_the_sample_leaves_torch_alone() -> None:
    code = (
        "import sys\nfrom napari_pytc.ui.samples import medulla\nmedulla()\n"
        "print(sorted({'torch', 'monai', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.slow
@needs_display
def test_sample_opens_in_a_window(make_napari_viewer: Callable) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-pytc", "medulla")
    assert {layer.name: layer._type_string for layer in viewer.layers} == KINDS
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, 10)
        assert {str(unit) for unit in layer.units} == {"nanometer"}
    assert viewer.layers["medulla"].visible
    assert viewer.layers["strokes"].visible
    np.testing.assert_allclose(viewer.layers.extent.step, 10)
