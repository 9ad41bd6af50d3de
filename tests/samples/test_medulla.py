"""The bundled sample holds what its attribution says and what the demo counts on."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.samples import sample_names, sample_path

SHAPE = (64, 192, 192)


@pytest.fixture(scope="module")
def medulla() -> dict[str, np.ndarray]:
    with h5py.File(sample_path("medulla")) as file:
        return {name: file[name][:] for name in ("raw", "classes", "neurons", "strokes")}


def test_all_datasets_have_one_shape_and_a_voxel_size(medulla: dict[str, np.ndarray]) -> None:
    assert {array.shape for array in medulla.values()} == {SHAPE}
    assert [array.dtype for array in medulla.values()] == [np.uint8, np.uint8, np.uint32, np.uint8]
    with h5py.File(sample_path("medulla")) as file:
        for name in medulla:
            np.testing.assert_allclose(file[name].attrs["voxel_size_nm"], 10)
            np.testing.assert_allclose(file[name].attrs["element_size_um"], 0.01)


def test_membrane_is_where_two_neurons_meet(medulla: dict[str, np.ndarray]) -> None:
    neurons, classes = medulla["neurons"], medulla["classes"]
    assert set(np.unique(classes)) <= {0, 1, 2}
    within = (slice(1, -1),) * 3  # at the faces a neighbour outside the crop may have decided
    meets = np.zeros(neurons.shape, bool)
    for axis in range(3):
        for step in (-1, 1):
            other = np.roll(neurons, step, axis)
            meets |= (other != neurons) & (other > 0) & (neurons > 0)
    np.testing.assert_array_equal((classes == 1)[within], meets[within])
    np.testing.assert_array_equal(classes == 0, neurons == 0)


def test_strokes_are_few_and_true_and_keep_to_their_sections(medulla: dict[str, np.ndarray]) -> None:
    strokes, classes = medulla["strokes"], medulla["classes"]
    painted = strokes > 0
    np.testing.assert_array_equal(strokes[painted], classes[painted])
    assert not painted[40:].any()
    for kind in (1, 2):
        assert 500 < np.count_nonzero(strokes == kind) < 2000
        assert np.count_nonzero(classes[48:] == kind) > 10_000  # the held-out part can score every class


def test_sample_travels_light_and_with_its_attribution() -> None:
    path = sample_path("medulla")
    assert path.stat().st_size < 3_000_000
    attribution = (path.parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "FlyEM, Janelia Research Campus, HHMI" in attribution
    assert "CC BY 3.0" in attribution


def test_unknown_sample_names_the_known_ones() -> None:
    assert sample_names() == ("medulla",)
    with pytest.raises(InvalidInput, match=r"no bundled sample named 'retina'.*medulla"):
        sample_path("retina")
