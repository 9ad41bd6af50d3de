from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.decoding import AgglomerationDecoder, ComponentsDecoder, MulticutDecoder, WatershedDecoder
from napari_pytc.decoding.blocks.blockwise import block_shape_for
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidInput, PytcError, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.volumes.channels import ClassRole
from tests.support.contexts import RecordingContext
from tests.support.decoder_contract import labels_of
from tests.support.evidence import prediction_of, write_prediction
from tests.support.faults import file_size_limit
from tests.support.tissue import MEMBRANE, make_tissue

SHAPE: Shape = (12, 30, 32)
BLOCK: Shape = (6, 15, 16)


@pytest.fixture(scope="module")
def prediction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tissue = make_tissue(SHAPE, 9, seed=1)
    cells = np.where(tissue.classes == MEMBRANE, 0, tissue.cells)
    return prediction_of(tmp_path_factory.mktemp("blockwise") / "prediction", cells, tissue.space)


def job(prediction: Path, output: Path, **options) -> SegmentJob:
    given_decoder = options.pop("decoder", AgglomerationDecoder(smallest_um3=0.00005))
    options.setdefault("block_shape", BLOCK)
    return SegmentJob(prediction=prediction, decoder=given_decoder, output=output, **options)


@pytest.mark.slow
def test_the_job_travels_as_json_and_tells_what_it_did(prediction: Path, tmp_path: Path) -> None:
    spec = JobSpec.parse(job(prediction, tmp_path / "s").model_dump(mode="json"))
    ctx = RecordingContext()
    result = spec.run(ctx)
    segmentation = Segmentation.open(tmp_path / "s")
    assert result["segmentation"] == segmentation.record.id == "s"
    assert result["folder"] == str(tmp_path / "s")
    assert result["n_supervoxels"] == segmentation.record.n_supervoxels == len(segmentation.sizes) - 1
    assert result["n_segments"] == len(np.unique(segmentation.segments)) - 1
    assert result["mvoxel_per_s"] > 0
    assert ctx.artifacts == [("segments", Box.of_shape(SHAPE))]
    done = [step for step, _, _ in ctx.progress]
    assert done == sorted(done)
    assert ctx.progress[-1][0] == ctx.progress[-1][1] == 4 * 8
    assert not (tmp_path / "s" / "parts").exists()


def test_sizes_and_boxes_are_those_of_the_voxels(prediction: Path, tmp_path: Path) -> None:
    job(prediction, tmp_path / "s").run(RecordingContext())
    segmentation = Segmentation.open(tmp_path / "s")
    labels = segmentation.supervoxels.read(Box.of_shape(SHAPE))
    np.testing.assert_array_equal(segmentation.sizes[1:], np.bincount(labels.ravel())[1:])
    for supervoxel in range(1, len(segmentation.sizes)):
        where = np.argwhere(labels == supervoxel)
        assert segmentation.boxes[supervoxel].tolist() == [*where.min(axis=0), *(where.max(axis=0) + 1)]


@pytest.mark.slow
@settings(max_examples=15)
@given(st.tuples(*[st.integers(2, 14)] * 3), st.sampled_from([6, 18, 26]), st.integers(0, 5))
def test_components_are_the_same_for_every_block_shape(block: Shape, connectivity: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((9, 11, 12)) * 0.75
    decoder = ComponentsDecoder(threshold=0.5, connectivity=connectivity, smallest_um3=0, object_class="axon")
    with tempfile.TemporaryDirectory() as folder:
        path = write_prediction(Path(folder) / "p", values[None], [ClassRole(name="axon")], VoxelSpace((10, 10, 10)))
        found = []
        for name, shape in (("whole", values.shape), ("blocks", block)):
            result = job(path, Path(folder) / name, decoder=decoder, block_shape=shape).run(RecordingContext())
            found.append((labels_of(result["folder"]), Segmentation.open(result["folder"]).record.checksum))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.slow
@pytest.mark.parametrize("decoder", [AgglomerationDecoder(smallest_um3=0.00005), ComponentsDecoder()])
def test_cancelled_at_any_check_and_gone_on_with(prediction: Path, tmp_path: Path, decoder) -> None:
    whole = RecordingContext()
    job(prediction, tmp_path / "whole", decoder=decoder).run(whole)
    for n in range(0, whole.n_checks, 6):
        output = tmp_path / f"cancelled {n}"
        with pytest.raises(JobCancelled):
            job(prediction, output, decoder=decoder).run(RecordingContext(cancel_after=n))
        with pytest.raises(VolumeError, match="no finished segmentation"):
            Segmentation.open(output)
        job(prediction, output, decoder=decoder).run(RecordingContext())
        np.testing.assert_array_equal(labels_of(output), labels_of(tmp_path / "whole"))
        assert Segmentation.open(output).record.checksum == Segmentation.open(tmp_path / "whole").record.checksum


def test_blocks_that_are_done_are_not_done_again(prediction: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(JobCancelled):
        job(prediction, tmp_path / "s").run(RecordingContext(cancel_after=6))
    decoded = []
    original = AgglomerationDecoder.supervoxels
    monkeypatch.setattr(AgglomerationDecoder, "supervoxels", lambda *given: decoded.append(1) or original(*given))
    job(prediction, tmp_path / "s").run(RecordingContext())
    assert 0 < len(decoded) < 8


def test_other_settings_start_over(prediction: Path, tmp_path: Path) -> None:
    with pytest.raises(JobCancelled):
        job(prediction, tmp_path / "s").run(RecordingContext(cancel_after=6))
    other = MulticutDecoder(smallest_um3=0.00005)
    job(prediction, tmp_path / "s", decoder=other, block_shape=SHAPE).run(RecordingContext())
    job(prediction, tmp_path / "t", decoder=other, block_shape=SHAPE).run(RecordingContext())
    np.testing.assert_array_equal(labels_of(tmp_path / "s"), labels_of(tmp_path / "t"))


@pytest.mark.slow
def test_a_folder_of_something_else_is_left_alone(prediction: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(InvalidInput, match=r"holds chapter\.tex"):
        job(prediction, tmp_path / "thesis").run(RecordingContext())
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"
    job(prediction, tmp_path / "s").run(RecordingContext())
    with pytest.raises(InvalidInput, match="already a segmentation"):
        job(prediction, tmp_path / "s").run(RecordingContext())


_DYING = """
import os, signal, sys
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.blocks.block_results import BlockResults
from tests.support.contexts import RecordingContext
left, save = int(sys.argv[1]), BlockResults.save
def dying(self, *given):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, *given)
BlockResults.save = dying
SegmentJob.model_validate_json(sys.stdin.read()).run(RecordingContext())
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_pieces", [0, 5, 11])
def test_killed_and_gone_on_with(prediction: Path, tmp_path: Path, n_pieces: int) -> None:
    spec = job(prediction, tmp_path / "s")
    killed = subprocess.run(
        [sys.executable, "-c", _DYING, str(n_pieces)],
        input=spec.model_dump_json().encode(),
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    spec.run(RecordingContext())
    job(prediction, tmp_path / "t").run(RecordingContext())
    np.testing.assert_array_equal(labels_of(tmp_path / "s"), labels_of(tmp_path / "t"))


@pytest.mark.parametrize("n_bytes", [10, 400, 1200])
def test_a_full_disk_is_reported_and_it_goes_on_later(prediction: Path, tmp_path: Path, n_bytes: int) -> None:
    spec = job(prediction, tmp_path / "s", block_shape=SHAPE)
    with file_size_limit(n_bytes), pytest.raises(PytcError) as error:
        spec.run(RecordingContext())
    assert error.value.hint
    assert "Errno" not in error.value.message
    spec.run(RecordingContext())
    assert Segmentation.open(tmp_path / "s").record.n_segments > 1


def test_a_box_is_decoded_alone(prediction: Path, tmp_path: Path) -> None:
    box = Box((2, 5, 6), (10, 25, 30))
    job(prediction, tmp_path / "s", box=box).run(RecordingContext())
    labels = labels_of(tmp_path / "s")
    assert labels[box.slices].all()
    labels[box.slices] = 0
    assert not labels.any()
    assert Segmentation.open(tmp_path / "s").record.box == box
    with pytest.raises(InvalidInput, match="does not lie within"):
        job(prediction, tmp_path / "t", box=Box((0, 0, 0), (13, 1, 1))).run(RecordingContext())


@pytest.mark.slow
def test_a_class_restricts_and_names_supervoxels(tmp_path: Path) -> None:
    tissue = make_tissue(SHAPE, 6, seed=2)
    left = np.zeros(SHAPE)
    left[:, :, :16] = 1
    membrane = (tissue.classes == MEMBRANE).astype(float)
    channels = np.stack([membrane, left * (1 - membrane), (1 - left) * (1 - membrane)])
    roles = [ClassRole(name=name) for name in ("membrane", "mitochondrion", "cytoplasm")]
    path = write_prediction(tmp_path / "p", channels, roles, tissue.space)
    decoder = AgglomerationDecoder(smallest_um3=0, object_class="mitochondrion")
    job(path, tmp_path / "objects", decoder=decoder).run(RecordingContext())
    np.testing.assert_array_equal(labels_of(tmp_path / "objects") > 0, channels[1] >= 0.5)
    segmentation = Segmentation.open(tmp_path / "objects")
    assert segmentation.record.classes == ("membrane", "mitochondrion", "cytoplasm")
    assert set(segmentation.classes[1:]) == {2}
    job(path, tmp_path / "inside", mask_class="cytoplasm").run(RecordingContext())
    assert not labels_of(tmp_path / "inside")[channels[2] < 0.5].any()
    assert Segmentation.open(tmp_path / "inside").record.mask["mode"] == "inside"
    with pytest.raises(InvalidInput, match="name of a class"):
        job(path, tmp_path / "x", mask_prediction=path).run(RecordingContext())


def test_a_voxel_size_that_is_not_known_is_reported(tmp_path: Path) -> None:
    tissue = make_tissue((4, 16, 16), 3)
    path = prediction_of(tmp_path / "p", tissue.cells, VoxelSpace.unknown())
    ctx = RecordingContext()
    job(path, tmp_path / "s").run(ctx)
    assert any("voxel size is not known" in warning for warning in ctx.warnings)
    ctx = RecordingContext()
    job(path, tmp_path / "t", voxel_size_nm=(30, 8, 8)).run(ctx)
    assert not ctx.warnings
    assert Segmentation.open(tmp_path / "t").space.voxel_size_nm == (30, 8, 8)


@pytest.mark.slow
def test_nothing_predicted_is_no_error(tmp_path: Path) -> None:
    whole = Box.of_shape((4, 8, 8))
    path = write_prediction(
        tmp_path / "p", np.ones((1, 4, 8, 8)), [ClassRole(name="membrane")], VoxelSpace(), unpredicted=whole
    )
    for decoder in (AgglomerationDecoder(), ComponentsDecoder(), WatershedDecoder()):
        result = job(path, tmp_path / decoder.kind, decoder=decoder, block_shape=(2, 4, 4)).run(RecordingContext())
        assert result["n_segments"] == 0


def test_blocks_suit_the_voxels() -> None:
    assert block_shape_for(VoxelSpace((45, 4.6, 4.6)), (100, 2000, 2000))[0] < 20
    assert block_shape_for(VoxelSpace((10, 10, 10)), (5, 60, 70)) == (5, 60, 70)
