"""Studies: what is tried first, what is kept, what holds when one goes on, and what is refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.decoding import AgglomerationDecoder
from napari_pytc.errors import InvalidInput, OutOfMemory, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.tuning import regions, study
from napari_pytc.tuning.describe import TuneRequest, settings_to_give, split_words
from napari_pytc.tuning.jobs import TuneJob
from napari_pytc.tuning.records import TuningRecord, read_record
from napari_pytc.tuning.search_space import regrouping_settings
from napari_pytc.volumes.channels import AffinityRole
from tests.support.contexts import RecordingContext
from tests.support.evidence import NEAR, affinities_of, write_prediction
from tests.tuning.bench import SHAPE, SPACE, cells_of, describe, predict, write_labels


@pytest.fixture
def cells() -> np.ndarray:
    return cells_of()


def without_times(record: TuningRecord) -> list[dict[str, Any]]:
    return [trial.model_dump(exclude={"seconds"}) for trial in record.trials]


def test_the_default_settings_are_trial_0_and_the_best_is_told(tmp_path: Path, cells: np.ndarray) -> None:
    job, ctx = describe(tmp_path, cells, TuneRequest(trials=12)), RecordingContext()
    result = job.run(ctx)
    record = read_record(job.output)
    assert result["n_trials"] == len(record.trials) == 12
    assert record.default.decoder == job.default.model_dump(mode="json")
    assert record.default.decoder["kind"] == "agglomeration"
    scores = [trial.score for trial in record.trials]
    assert record.best.score == min(scores) < scores[0]
    assert result["best"] == record.best.model_dump(mode="json")
    assert ctx.curve("score") == scores
    assert ctx.curve("best") == list(np.minimum.accumulate(scores))
    assert record.ranked[0] == record.best
    assert study.improvement(record).startswith("Variation of information")
    assert any("fill the tissue" in note for note in ctx.warnings)


def test_trial_0_is_the_default_with_all_its_digits_and_the_sampler_knows_it(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells, TuneRequest(trials=1))
    job = job.model_copy(update={"default": AgglomerationDecoder(threshold=0.8125, smallest_um3=0.00012345)})
    job.run(RecordingContext())
    assert read_record(job.output).default.decoder == job.default.model_dump(mode="json")
    with closing(sqlite3.connect(job.study)) as file:
        known = dict(file.execute("select param_name, param_value from trial_params").fetchall())
    assert known["agglomeration.threshold"] == 0.8125
    assert known["agglomeration.smallest_um3"] == 0.00012345


def test_a_study_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, cells: np.ndarray) -> None:
    whole, parts = (tmp_path / name for name in ("whole", "parts"))
    for folder in (whole, parts):
        folder.mkdir()
    one = describe(whole, cells, TuneRequest(trials=12, seed=3))
    one.run(RecordingContext())
    job = describe(parts, cells, TuneRequest(trials=12, seed=3))
    with pytest.raises(JobCancelled):
        job.run(RecordingContext(cancel_after=11))
    n_before = len(read_record(job.output).trials)
    assert 0 < n_before < 12
    ctx = RecordingContext()
    job.run(ctx)
    assert without_times(read_record(job.output)) == without_times(read_record(one.output))
    assert len(ctx.curve("score")) == 12, "the window sees the trials of before, too"
    again = RecordingContext()
    assert job.run(again)["n_trials"] == 12
    assert read_record(job.output).created == read_record(job.output).created


def test_every_second_trial_groups_the_supervoxels_of_the_best_anew(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells, TuneRequest(trials=9))
    job.run(RecordingContext())
    trials = read_record(job.output).trials
    for number in (1, 3, 5, 7):
        best = min(trials[:number], key=lambda trial: trial.score or 0.0)
        other = {name for name, value in trials[number].decoder.items() if value != best.decoder[name]}
        assert other <= regrouping_settings(AgglomerationDecoder)
    assert trials[2].decoder["seed_distance_um"] != trials[4].decoder["seed_distance_um"]


def test_other_seeds_try_other_settings(tmp_path: Path, cells: np.ndarray) -> None:
    jobs = [describe(tmp_path, cells, TuneRequest(trials=3, seed=seed)) for seed in (0, 1)]
    assert jobs[0].output != jobs[1].output
    found = [job.run(RecordingContext()) and without_times(read_record(job.output)) for job in jobs]
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_nothing_of_a_trial_is_on_the_disk_before_it_is_over(
    tmp_path: Path, cells: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    whole, job = tmp_path / "whole", describe(tmp_path, cells, TuneRequest(trials=4))
    whole.mkdir()
    score, calls = study.TrialScorer.score, list[int]()

    def die(self: Any, decoder: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return score(self, decoder)

    monkeypatch.setattr(study.TrialScorer, "score", die)
    with pytest.raises(Killed):
        job.run(RecordingContext())
    with closing(sqlite3.connect(job.study)) as file:
        assert file.execute("select state from trials").fetchall() == [("COMPLETE",)] * 2
    monkeypatch.undo()
    job.run(RecordingContext())
    one = describe(whole, cells, TuneRequest(trials=4))
    one.run(RecordingContext())
    assert without_times(read_record(job.output)) == without_times(read_record(one.output))


@pytest.mark.slow
def test_a_killed_process_leaves_a_study_that_goes_on(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells, TuneRequest(trials=500))
    code = (
        "import sys\nfrom napari_pytc.tuning.jobs import TuneJob\nfrom tests.support.contexts import RecordingContext\n"
        "TuneJob.model_validate_json(sys.argv[1]).run(RecordingContext())"
    )
    process = subprocess.Popen([sys.executable, "-c", code, job.model_dump_json()], stderr=subprocess.PIPE, text=True)
    try:
        while not (job.output.exists() and len(read_record(job.output).trials) > 2) and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, process.stderr and process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    n_before = len(read_record(job.output).trials)
    ctx = RecordingContext()
    result = job.model_copy(update={"trials": n_before + 3}).run(ctx)
    assert result["n_trials"] == n_before + 3


def test_two_processes_do_not_work_on_one_study(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells)
    job.output.parent.mkdir()
    with (
        FileLock(job.output.with_suffix(".lock")),
        pytest.raises(InvalidInput, match="runs already, in another process"),
    ):
        job.run(RecordingContext())
    assert not job.output.exists()


@pytest.mark.parametrize(
    "other",
    [
        TuneRequest(trials=2, score="adapted_rand"),
        TuneRequest(trials=2, box=Box((0, 0, 0), (12, 40, 20))),
        TuneRequest(trials=2, ranges={"threshold": (0.2, 0.8)}),
        TuneRequest(trials=2, decoders=("multicut",)),
    ],
    ids=["score", "box", "range", "decoder"],
)
def test_a_study_of_other_work_is_another(tmp_path: Path, cells: np.ndarray, other: TuneRequest) -> None:
    first, second = describe(tmp_path, cells, TuneRequest(trials=2)), describe(tmp_path, cells, other)
    assert first.output != second.output
    first.run(RecordingContext())
    with pytest.raises(InvalidInput, match="another prediction, truth, score or search"):
        second.model_copy(update={"output": first.output}).run(RecordingContext())


def test_more_trials_and_a_time_limit_are_the_same_study(tmp_path: Path, cells: np.ndarray) -> None:
    first = describe(tmp_path, cells, TuneRequest(trials=2))
    assert describe(tmp_path, cells, TuneRequest(trials=9, timeout_s=5)).output == first.output


def test_other_truth_is_another_study_and_changed_truth_is_refused(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells)
    other = describe(tmp_path, cells, truth=np.where(cells == 3, 4, cells))
    assert other.output != job.output
    with pytest.raises(Exception, match="truth changed"):
        job.run(RecordingContext())


def test_truth_that_was_edited_between_the_blocks_of_its_fingerprint_begins_anew(
    tmp_path: Path, cells: np.ndarray
) -> None:
    first = describe(tmp_path, cells, TuneRequest(trials=3))
    first.run(RecordingContext())
    old = read_record(first.output)
    edited = cells.copy()
    edited[5] = np.where(cells[5] == 3, 4, cells[5])
    job, ctx = describe(tmp_path, cells, TuneRequest(trials=2), truth=edited), RecordingContext()
    assert job.output == first.output, "the fingerprint does not see the edit"
    assert job.run(ctx)["n_trials"] == 2
    new = read_record(job.output)
    assert new.default.decoder == old.default.decoder
    assert new.default.scores != old.default.scores
    assert "3 trials on other truth, from before the labels changed, are left out." in new.notes
    describe(tmp_path, cells, TuneRequest(trials=3)).run(RecordingContext())
    assert without_times(read_record(first.output)) == without_times(old), "the trials of before are kept"


def test_the_time_limit_ends_a_run_and_keeps_its_trials(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells, TuneRequest(trials=50, timeout_s=1e-6))
    result = job.run(RecordingContext())
    assert (result["stopped"], result["n_trials"]) == ("timeout", 1)


def test_several_decoders_are_tuned_together(tmp_path: Path, cells: np.ndarray) -> None:
    request = TuneRequest(("agglomeration", "watershed", "multicut"), {"smoothing_um": 0.0}, trials=14)
    job = describe(tmp_path, cells, request)
    job.run(RecordingContext())
    record = read_record(job.output)
    assert {trial.decoder["kind"] for trial in record.trials} == {"agglomeration", "watershed", "multicut"}
    assert {trial.decoder["smoothing_um"] for trial in record.trials[1:]} == {0.0}
    assert record.trials[0].decoder["smoothing_um"] > 0, "trial 0 is what a segmentation takes today"


def test_a_trial_that_cannot_be_decoded_is_told_and_the_rest_goes_on(
    tmp_path: Path, cells: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = describe(tmp_path, cells, TuneRequest(trials=5))
    score = study.TrialScorer.score

    def fail_once(self: Any, decoder: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise InvalidInput("No seeds.")
        return score(self, decoder)

    calls: list[int] = []
    monkeypatch.setattr(study.TrialScorer, "score", fail_once)
    assert job.run(RecordingContext())["n_trials"] == 5
    record = read_record(job.output)
    assert (record.trials[2].score, record.trials[2].problem) == (None, "No seeds.")
    assert len(record.ranked) == 4


def test_objects_that_lie_apart_are_counted(tmp_path: Path) -> None:
    cells = np.zeros(SHAPE, np.uint32)
    for number, place in enumerate([(2, 4, 4), (2, 22, 10), (5, 10, 30), (6, 28, 30)], start=1):
        cells[tuple(slice(p, p + 6) for p in place)] = number
    job, ctx = describe(tmp_path, cells, what=("boundary",)), RecordingContext()
    assert job.run(ctx)["score"] == "ap50"
    assert any("objects lie apart" in note for note in ctx.warnings)
    assert max(ctx.curve("best")) == ctx.curve("best")[-1]


# ---- truth


def test_truth_that_begins_elsewhere_is_placed_by_its_origin_or_offset(tmp_path: Path, cells: np.ndarray) -> None:
    part = Box((2, 8, 4), (10, 40, 36))
    predict(tmp_path, cells)
    write_labels(tmp_path / "truth.h5", cells[part.slices])
    job = describe(tmp_path, cells, truth=cells[part.slices], transform=LabelTransform(offset=part.start))
    job.run(RecordingContext())
    assert read_record(job.output).boxes == (str(part),)


def test_ignored_and_mapped_values_of_the_truth(tmp_path: Path, cells: np.ndarray) -> None:
    truth = cells.astype(np.int32)
    truth[:, :5] = -1
    ctx = RecordingContext()
    job = describe(tmp_path, cells, truth=truth, transform=LabelTransform(ignored=(-1,), values={3: 4}))
    job.run(ctx)
    assert read_record(job.output).boxes == (str(Box((0, 5, 0), SHAPE)),)
    with pytest.raises(InvalidInput, match=r"holds -1.*--ignore -1"):
        describe(tmp_path, cells, truth=truth).run(RecordingContext())


def test_a_single_object_is_told_and_none_refused(tmp_path: Path, cells: np.ndarray) -> None:
    ctx = RecordingContext()
    describe(tmp_path, cells, truth=(cells == 3).astype(np.uint32), transform=LabelTransform(ignored=(0,))).run(ctx)
    assert any("single object" in note for note in ctx.warnings)
    assert any("all others are left out" in note for note in ctx.warnings)
    with pytest.raises(InvalidInput, match="holds no object"):
        describe(tmp_path, cells, truth=np.zeros_like(cells)).run(RecordingContext())
    with pytest.raises(InvalidInput, match="no voxel of the truth is known"):
        describe(tmp_path, cells, truth=np.zeros_like(cells), transform=LabelTransform(ignored=(0,))).run(
            RecordingContext()
        )


def test_truth_beyond_the_prediction_is_refused(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(
        tmp_path,
        cells,
        predicted=Box((0, 0, 0), (4, 40, 44)),
        truth=cells[6:],
        transform=LabelTransform(offset=(6, 0, 0)),
    )
    with pytest.raises(InvalidInput, match="voxels in common"):
        job.run(RecordingContext())
    with pytest.raises(InvalidInput, match="holds no voxel with truth"):
        job.model_copy(update={"predicted": None, "box": Box((0, 0, 0), (2, 40, 44))}).run(RecordingContext())
    assert not job.output.exists()


def test_voxels_that_were_not_predicted_are_told_and_refused_where_they_are_all(
    tmp_path: Path, cells: np.ndarray
) -> None:
    channels = np.stack([affinities_of(cells, [offset], 0.25)[0] for offset in NEAR])
    roles = [AffinityRole(offset=offset) for offset in NEAR]
    write_prediction(tmp_path / "p.zarr", channels, roles, SPACE, unpredicted=Box((0, 0, 0), (6, 40, 44)))
    ctx = RecordingContext()
    describe(tmp_path, cells).run(ctx)
    assert any("50% of the voxels of the truth were not predicted" in note for note in ctx.warnings)
    with pytest.raises(InvalidInput, match="nothing was predicted"):
        describe(tmp_path, cells, TuneRequest(trials=2, box=Box((0, 0, 0), (2, 40, 44)))).run(RecordingContext())


def test_what_does_not_fit_into_memory_is_refused_with_both_numbers_and_a_box_that_fits(
    tmp_path: Path, cells: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = describe(tmp_path, cells)
    monkeypatch.setattr(study, "memory_budget", lambda: 3e6)
    with pytest.raises(OutOfMemory) as caught:
        job.run(RecordingContext())
    assert "0.0 GB" in caught.value.message
    smaller = Box.parse(caught.value.hint.rpartition("--box ")[2].rstrip("."))
    assert Box.of_shape(SHAPE).contains(smaller)
    monkeypatch.setattr(study, "memory_budget", lambda: 1e9)
    assert job.run(RecordingContext())["n_trials"] == 4
    assert regions.memory_budget() > 0


# ---- what is asked for


def test_words_fix_settings_or_give_ranges() -> None:
    assert split_words(["threshold=0.2:0.8", "seeds=distance", "smallest_um3=1e-5:1e-3"]) == (
        ["seeds=distance"],
        {"threshold": (0.2, 0.8), "smallest_um3": (1e-5, 1e-3)},
    )
    with pytest.raises(InvalidInput, match="two ranges"):
        split_words(["threshold=0.2:0.8", "threshold=0.2:0.9"])
    with pytest.raises(InvalidInput, match="two numbers"):
        split_words(["threshold=..:0.9"])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TuneRequest(fixed={"threshold": 0.5}, ranges={"threshold": (0.2, 0.8)}), "is fixed and has a range"),
        (TuneRequest(fixed={"speed": 1}), "speed"),
        (TuneRequest(("agglomeration", "watershed"), {"speed": 1}), "has a setting 'speed'"),
        (TuneRequest(("nonsense",)), "nonsense"),
        (TuneRequest(fixed={"threshold": 7}), "less than or equal to 1"),
        (TuneRequest(trials=0), "trials"),
        (
            TuneRequest(("components",), {"threshold": 0.5, "smallest_um3": 0, "object_class": "", "connectivity": 6}),
            "nothing to try",
        ),
        (TuneRequest(("components",), {"object_class": "mito"}), "no class called 'mito'"),
    ],
    ids=["both", "unknown", "unknown of several", "decoder", "value", "trials", "nothing", "class"],
)
def test_what_cannot_be_tuned_is_refused_when_it_is_described(
    tmp_path: Path, cells: np.ndarray, request_: TuneRequest, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        describe(tmp_path, cells, request_)
    assert message in str(caught.value)


def test_optuna_that_is_not_installed_is_one_sentence(
    tmp_path: Path, cells: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = describe(tmp_path, cells)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidInput) as caught:
        job.run(RecordingContext())
    assert 'pip install "napari-pytc[tune]"' in caught.value.hint
    assert not job.output.parent.exists()


def test_a_damaged_study_is_told(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells)
    job.output.parent.mkdir()
    job.study.write_bytes(b"no database at all" * 100)
    with pytest.raises(ProjectError, match="cannot be read or written"):
        job.run(RecordingContext())
    job.output.write_text("{")
    with pytest.raises(ProjectError, match="cannot be read"):
        read_record(job.output)


@pytest.mark.parametrize(
    "name", ["a%20b%s", "{1} {SCHEMA_VERSION}", "mouse #3 é@&=+"] + ["why?x=1"] * (os.name != "nt")
)
def test_a_folder_may_have_any_name(tmp_path: Path, cells: np.ndarray, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    job = describe(folder, cells, TuneRequest(trials=1))
    job.run(RecordingContext())
    assert job.study.is_file()
    assert [place.name for place in tmp_path.iterdir()] == [name], "nothing lies where a part of the name points to"


def test_the_record_is_plain_json_and_the_settings_to_give_are_few(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells, TuneRequest(trials=3, fixed={"smoothing_um": 0.0}))
    job.run(RecordingContext())
    content = json.loads(job.output.read_text())
    assert content["trials"][1]["decoder"]["smoothing_um"] == 0.0
    assert set(content["tuned"]) == {"agglomeration"}
    given = settings_to_give(job.prediction, content["trials"][1]["decoder"])
    assert given["smoothing_um"] == 0.0
    assert "kind" not in given
    assert settings_to_give(job.prediction, content["trials"][0]["decoder"]) == {}


def test_a_spec_survives_json(tmp_path: Path, cells: np.ndarray) -> None:
    job = describe(tmp_path, cells, TuneRequest(("agglomeration", "watershed"), trials=3))
    assert TuneJob.model_validate_json(job.model_dump_json()) == job
