"""The commands that repeat the work, from hand-made facts, and run again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.cli.commands.learn import prediction_plan
from napari_pytc.geometry import Box
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults, plan_with_defaults
from napari_pytc.plans.recipes import load_recipe, recipes
from napari_pytc.report.commands import commands, settings_changed
from napari_pytc.report.facts import gather
from napari_pytc.session.session import Session
from tests.cli.conftest import call
from tests.report.hand_made_facts import MODEL, SEGMENTATION, facts
from tests.session.models import make_model
from tests.volumes.files import image, write_hdf5

BOX = Box((0, 1, 2), (3, 4, 5))


def test_commands_quote_what_a_shell_would_split() -> None:
    image = {**facts()["image"], "argument": "my raw.h5:main"}
    classes = [{"name": "cell wall", "colour": "#000000", "n_taught": 0, "n_scored": 0}]
    (new, annotate) = commands(facts(image=image, classes=classes))
    assert new == "napari-pytc new a.pytc --image 'my raw.h5:main' --classes 'cell wall' --voxel-size 40,10,10"
    assert annotate.startswith("napari-pytc annotate a.pytc LABELS")


def test_commands_name_the_volume_where_there_are_several() -> None:
    done = facts(
        volume="raw 1",
        volumes=["raw 1", "other"],
        held_out=["0:1,0:2,0:3"],
        predictions=[{"id": "p1", "model": "m1", "box": None, "state": "finished", "flips": False}],
    )
    new, add, annotate, hold_out, predict = commands(done)
    assert new.endswith("--name 'raw 1'")
    assert add == "napari-pytc add a.pytc --image IMAGE --name other"
    assert all("--volume 'raw 1'" in line for line in (annotate, hold_out, predict))


def test_commands_follow_the_order_of_the_work() -> None:
    done = facts(
        held_out=["0:1,0:2,0:3"],
        models=[{**MODEL, "parent": "m0"}, {**MODEL, "id": "broken", "problem": "gone"}],
        predictions=[{"id": "p1", "model": "m1", "box": "0:1,0:2,0:3", "state": "finished", "flips": True}],
        segmentations=[{**SEGMENTATION, "decoder": {"kind": "watershed", "fill": False}}],
        effort={**facts()["effort"], "n_edits": 1},
    )
    found = commands(done)
    assert [line.split()[1] for line in found] == [
        "new", "annotate", "hold-out", "train", "predict", "segment", "replay",
    ]  # fmt: skip
    assert "--recipe mine --from m0 network.kind=unet" in found[3]
    assert found[4] == "napari-pytc predict a.pytc --model m1 --box 0:1,0:2,0:3 --tta"
    assert found[5] == "napari-pytc segment a.pytc --decoder watershed --prediction p1 fill=false"


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_recipe_as_it_is_has_no_changed_settings(name: str) -> None:
    plan = load_recipe(name).model_dump(mode="json")
    assert settings_changed(name, plan) == []
    assert settings_changed(name, {**plan, "device": "cuda", "seed": 41}) == ["seed=41"]


@pytest.mark.parametrize(
    "changes", [["steps=7"], ["network.channels=[4,8]", "minutes=null"], ["augmentation.blur=0.75", "seed=3"]]
)
def test_changed_settings_make_the_plan_again(changes: list[str]) -> None:
    plan = load_recipe("fast", changes)
    words = settings_changed("fast", plan.model_dump(mode="json"))
    assert load_recipe("fast", words).model_dump(exclude={"recipe"}) == plan.model_dump(exclude={"recipe"})
    assert 0 < len(words) <= len(changes)


def test_of_a_recipe_of_the_users_own_every_setting_is_named() -> None:
    words = settings_changed("mine", load_recipe("fast").model_dump(mode="json"))
    assert len(words) > 20
    assert any(word.startswith("network.kind=") for word in words)


def test_an_image_is_read_as_it_was() -> None:
    options = {"voxel_size_nm": None, "channel": [0, 2], "axes": "tczyx", "time": 3, "missing_sections": "blank"}
    new = commands(facts(image={**facts()["image"], "options": options}))[0]
    assert new.endswith("--voxel-size 40,10,10 --channel 0,2 --axes tczyx --time 3 --missing-sections blank")


def test_boxes_classes_and_settings_that_decided_a_result_are_named() -> None:
    box = {"start": [0, 1, 2], "stop": [3, 4, 5]}
    job = {"boundary_class": "cell wall", "mask_class": "mito", "mask_mode": "inside", "mask_prediction": "/a/p2.zarr"}
    plan = {"normalisation": "training", "device": "cpu", "flips": True, "tile_shape": [1, 2, 3], "resample": True}
    done = facts(
        volumes=["raw", "b"],
        models=[{**MODEL, "job": {"inputs": [{"name": "raw", "corrections": "/c"}, {"name": "b"}]}}],
        predictions=[{"id": "p1", "model": "m1", "box": box, "flips": True, "job": {"plan": plan}}],
        segmentations=[{**SEGMENTATION, "box": box, "job": job}],
    )
    train, predict, segment = commands(done)[3:]
    assert "--recipe mine --corrections --volume raw --volumes raw,b network.kind=unet" in train
    both = [{"name": "raw", "corrections": "/c"}, {"name": "b", "corrections": "/d"}]
    of_both = commands(facts(volumes=["raw", "b"], models=[{**MODEL, "job": {"inputs": both}}]))[3]
    assert "--corrections --volumes raw,b" in of_both
    assert predict == (
        "napari-pytc predict a.pytc --volume raw --model m1 --box 0:3,1:4,2:5 --tta normalisation=training"
    )
    assert segment == (
        "napari-pytc segment a.pytc --volume raw --decoder watershed --prediction p1 --boundary-class 'cell wall' "
        "--mask-class mito --mask-mode inside --mask-prediction p2 --box 0:3,1:4,2:5"
    )


TTA = {"flips": "plane", "turns": True, "scales": [0.75, 1.0], "combine": "min", "exceptions": [], "average": "auto"}


@pytest.mark.parametrize(
    ("plan", "flips", "brought", "words"),
    [
        (
            {"flips": False, "tta": TTA},
            False,
            {},
            "tta.turns=true 'tta.scales=[0.75,1.0]' tta.combine=min tta.flips=plane",
        ),
        ({"flips": False, "tta": {**TTA, "flips": "all"}}, True, {"tta": TTA}, "--tta"),
        ({"flips": False, "tta": {**TTA, "flips": "none"}}, False, {"flips": True, "tta": TTA}, "flips=false"),
        ({"windows": {"overlap": 0.25, "average": "probabilities"}}, False, {}, "windows.overlap=0.25"),
        (
            {"windows": {"overlap": 0.25, "average": "probabilities"}},
            False,
            {"windows": {"overlap": 0.25, "average": "logits"}},
            "windows.average=probabilities",
        ),
    ],
)
def test_settings_of_a_prediction_are_named_where_the_model_does_not_bring_them_along(
    plan: dict[str, Any], flips: bool, brought: dict[str, Any], words: str
) -> None:
    done = facts(
        models=[{**MODEL, "prediction": brought}],
        predictions=[{"id": "p1", "model": "m1", "box": None, "flips": flips, "job": {"plan": plan}}],
    )
    (found,) = (line for line in commands(done) if line.startswith("napari-pytc predict"))
    assert found == f"napari-pytc predict a.pytc --model m1 {words}"
    again = plan_with_defaults(
        prediction_plan([word for word in shlex.split(words) if word != "--tta"], "--tta" in words),
        PredictionDefaults.model_validate(brought),
    )[0]
    made = PredictPlan.model_validate(plan)
    assert (again.copies, again.windows) == (made.copies, made.windows)


@pytest.mark.slow
def test_an_imported_segmentation_is_made_again_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((2, 6, 20, 20), np.uint16)
    labels[1, :, :10], labels[1, :, 10:], labels[1, 0, 0] = 3, 7, 255
    np.save(tmp_path / "labels.npy", labels)
    raw = write_hdf5(tmp_path / "raw.h5", {"raw": image(), "boundary": image()}, {"voxel_size_nm": [40.0, 8.0, 4.0]})
    words = ("--channel", 1, "--axes", "czyx", "--offset", "1,2,3", "--map", "7=5", "--ignore-value", 255)
    more = ("--boundaries", f"{raw}:boundary", "--gap", "0.02")
    assert call("new", "a.pytc", "--image", f"{raw}:raw", "--classes", "a,b").code == 0
    assert call("segmentation", "a.pytc", "import", "labels.npy", *words, *more).code == 0

    def checksums() -> list[str]:
        with Session.open(tmp_path / "a.pytc", read_only=True) as session:
            found = gather(session)
            lines.append(commands(found)[-1])
            return [one["checksum"] for one in found["segmentations"]]

    lines: list[str] = []
    checksums()
    import shlex

    assert call(*shlex.split(lines[0])[1:]).code == 0
    first, again = checksums()
    assert first == again
    assert lines[0] == lines[1]


def test_volumes_of_a_training_are_called_as_they_are_now(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(session.folder / "models" / "m1")
    old = str(session.folder / "volumes" / "v1" / "annotations.zarr")
    job = {"inputs": [{"name": "former", "annotations": old}, {"name": "gone", "annotations": "/v9/annotations.zarr"}]}
    monkeypatch.setattr(session.jobs, "specs", lambda kind: {"m1": job} if kind == "train" else {})
    (model,) = gather(session)["models"]
    assert [one["name"] for one in model["job"]["inputs"]] == [session.image.volume.name, "gone"]
