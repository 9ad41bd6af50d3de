"""The commands that repeat the work on a volume."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import IMPORTED
from napari_pytc.plans.plan import MACHINE_SETTINGS, PredictPlan
from napari_pytc.plans.recipes import load_recipe


def commands(facts: Mapping[str, Any]) -> list[str]:
    """Commands that repeat the work from the image, the painted labels and the edits."""
    project, volume = facts["project"], facts["volume"]
    is_one = len(facts["volumes"]) == 1
    of = [] if is_one else ["--volume", volume]
    found = [_new(facts, [] if is_one else ["--name", volume])]
    others = [name for name in facts["volumes"] if name != volume]
    found += [_line("add", project, "--image", "IMAGE", "--name", name) for name in others]
    found.append(
        f"{_line('annotate', project, 'LABELS', *of)}   # the painted labels: annotations.zarr in the volume's folder"
    )
    found += [_line("hold-out", project, box, *of) for box in facts["held_out"]]
    found += [_train(project, model, is_one) for model in facts["models"] if not model["problem"]]
    brought = {model["id"]: model.get("prediction") or {} for model in facts["models"]}
    found += [_predict(project, one, of, brought.get(one["model"], {})) for one in facts["predictions"]]
    found += [_segment(project, one, of) for one in facts["segmentations"] if not one["problem"] and one["decoder"]]
    if facts["effort"]["n_edits"]:
        found.append(
            f"{_line('replay', project, *of)}   # makes every edit again from the journal and compares checksums"
        )
    return found


def settings_changed(recipe: str, plan: Mapping[str, Any]) -> list[str]:
    """Settings of a plan that differ from its recipe, as words of the command line."""
    try:
        known = _flat(load_recipe(recipe).model_dump(mode="json"))
    except PytcError:  # a recipe of the user's own
        known = {}
    where = ("recipe", "device", "precision")
    return [
        f"{key}={_yaml(value)}" for key, value in _flat(plan).items() if key not in where and known.get(key) != value
    ]


def _line(*words: str) -> str:
    return shlex.join(["napari-pytc", *words])


def _new(facts: Mapping[str, Any], name: list[str]) -> str:
    image = facts["image"]
    classes = ",".join(one["name"] for one in facts["classes"])
    size = _numbers(image["voxel_size_nm"])
    options = {key: value for key, value in image["options"].items() if key != "voxel_size_nm"}
    words = ("--image", image["argument"], "--classes", classes, "--voxel-size", size)
    return _line("new", facts["project"], *words, *_read_options(options), *name)


def _train(project: str, model: Mapping[str, Any], is_one: bool) -> str:
    """The training of a model; its volumes where the project has several."""
    words = ["--recipe", model["recipe"]]
    words += ["--from", model["parent"]] if model["parent"] else []
    inputs = (model.get("job") or {}).get("inputs") or ()
    corrected = [one.get("name") for one in inputs if one.get("corrections")]
    words += ["--corrections"] if corrected else []
    words += ["--volume", corrected[0]] if len(corrected) == 1 and corrected[0] and not is_one else []
    names = [one["name"] for one in inputs if one.get("name")]
    words += ["--volumes", ",".join(names)] if names and not is_one else []
    return _line("train", project, *words, *settings_changed(model["recipe"], model["plan"]))


def _predict(project: str, one: Mapping[str, Any], of: list[str], brought: Mapping[str, Any]) -> str:
    """A prediction, with the settings that are not those that its model brings along."""
    plan = (one.get("job") or {}).get("plan") or {}
    known = {**_flat(PredictPlan().model_dump(mode="json")), **_flat(brought)}
    decisive = {key: value for key, value in plan.items() if key not in MACHINE_SETTINGS}
    changed = [
        f"{key}={_yaml(value)}"
        for key, value in _flat(decisive).items()
        if key not in ("flips", "tta.flips") and value != known.get(key)
    ]
    mirrored = (plan.get("tta") or {}).get("flips", "none")
    if mirrored not in ("none", "all"):  # those along all axes are recorded as flips
        changed.append(f"tta.flips={_yaml(mirrored)}")
    elif not one["flips"] and (known["flips"] or known["tta.flips"] != "none"):
        changed.append("flips=false")
    words = [*of, "--model", one["model"], *_box(one["box"]), *(["--tta"] if one["flips"] else [])]
    return _line("predict", project, *words, *changed)


def _segment(project: str, one: Mapping[str, Any], of: list[str]) -> str:
    """The decoding of a prediction, or the import of another program's labels."""
    job = one.get("job") or {}
    if one["decoder"]["kind"] == IMPORTED:
        return _import(project, job, of)
    words = ["--decoder", one["decoder"]["kind"]]
    words += ["--prediction", one["prediction"]] if one.get("prediction") else []
    words += ["--boundary-class", job["boundary_class"]] if job.get("boundary_class") else []
    if job.get("mask_class"):
        words += ["--mask-class", job["mask_class"], "--mask-mode", job["mask_mode"]]
        words += ["--mask-prediction", _id_of(job["mask_prediction"])] if job.get("mask_prediction") else []
    settings = [f"{key}={_yaml(value)}" for key, value in one["decoder"].items() if key != "kind"]
    made = _line("segment", project, *of, *words, *_box(one.get("box")), *settings)
    if not (job.get("reuse") or job.get("keep")):
        return made
    return f"{made}   # in a retraining, which kept locked segments and what had not changed: napari-pytc retrain"


def _import(project: str, job: Mapping[str, Any], of: list[str]) -> str:
    if not job:
        return f"{_line('segmentation', project, 'import', 'LABELS', *of)}   # by which options is not known"
    return _line("segmentation", project, "import", job["argument"], *of, *_import_options(job))


def _import_options(job: Mapping[str, Any]) -> Iterator[str]:
    yield from _read_options(job["labels"])
    transform = job["transform"]
    if transform["offset"] is not None:
        yield from ("--offset", _numbers(transform["offset"]))
    if transform["resample"]:
        yield "--resample"
    if transform["values"]:
        yield from ("--map", ",".join(f"{value}={meaning}" for value, meaning in transform["values"].items()))
    for value in transform["ignored"]:
        yield from ("--ignore-value", str(value))
    chosen, number = job["image"].get("channel"), job.get("image_channel") or 0
    if job["boundaries"] is not None:
        yield from ("--boundaries", job["boundaries_argument"])
    elif chosen == "all" or isinstance(chosen, list | tuple):
        yield from ("--image-channel", str(number if chosen == "all" else chosen[number]))
    if job["gap_um"]:
        yield from ("--gap", f"{job['gap_um']:g}")


def _read_options(options: Mapping[str, Any]) -> Iterator[str]:
    """How a file is read, as options of the command line; those that are as by default are left out."""
    if options.get("voxel_size_nm"):
        yield from ("--voxel-size", _numbers(options["voxel_size_nm"]))
    channel = options.get("channel")
    if channel is not None:
        yield from ("--channel", ",".join(map(str, channel)) if isinstance(channel, list | tuple) else str(channel))
    if options.get("axes"):
        yield from ("--axes", options["axes"])
    if options.get("time") is not None:
        yield from ("--time", str(options["time"]))
    if options.get("missing_sections", "note") != "note":
        yield from ("--missing-sections", options["missing_sections"])


def _box(box: Any) -> list[str]:
    """A box as the facts have it, JSON or text, as an option."""
    if not box:
        return []
    text = box if isinstance(box, str) else str(Box(tuple(box["start"]), tuple(box["stop"])))
    return ["--box", text]


def _id_of(prediction: str) -> str:
    """The id of a prediction from the path of its Zarr."""
    return prediction.replace("\\", "/").rpartition("/")[2].removesuffix(".zarr")


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _numbers(values: Any) -> str:
    return ",".join(str(value).removesuffix(".0") for value in values)


def _yaml(value: Any) -> str:
    """A value as the command line reads it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
