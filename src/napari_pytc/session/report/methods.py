"""A methods paragraph with its numbers and references, and the commands that do the work again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from napari_pytc.errors import PytcError
from napari_pytc.learning.recipes import load_recipe

REFERENCES = {
    "napari": "napari contributors (2019). napari: a multi-dimensional image viewer for Python. "
    "doi:10.5281/zenodo.3555620",
    "pytorch": "Paszke, A. et al. (2019). PyTorch: an imperative style, high-performance deep learning library. "
    "NeurIPS.",
    "monai": "Cardoso, M. J. et al. (2022). MONAI: an open-source framework for deep learning in healthcare. "
    "arXiv:2211.02701",
    "unet": "Ronneberger, O., Fischer, P., Brox, T. (2015). U-Net: convolutional networks for biomedical image "
    "segmentation. MICCAI.",
    "kerfoot": "Kerfoot, E. et al. (2018). Left-ventricle quantification using residual U-Net. STACOM.",
    "nnunet": "Isensee, F. et al. (2021). nnU-Net: a self-configuring method for deep learning-based biomedical image "
    "segmentation. Nature Methods 18.",
    "ilastik": "Berg, S. et al. (2019). ilastik: interactive machine learning for (bio)image analysis. Nature "
    "Methods 16.",
    "adamw": "Loshchilov, I., Hutter, F. (2019). Decoupled weight decay regularization. ICLR.",
    "ema": "Polyak, B. T., Juditsky, A. B. (1992). Acceleration of stochastic approximation by averaging. SIAM J. "
    "Control Optim. 30.",
    "dice_loss": "Milletari, F., Navab, N., Ahmadi, S.-A. (2016). V-Net: fully convolutional neural networks for "
    "volumetric medical image segmentation. 3DV.",
    "pseudo": "Lee, D.-H. (2013). Pseudo-label: the simple and efficient semi-supervised learning method. ICML "
    "Workshop.",
    "dice": "Dice, L. R. (1945). Measures of the amount of ecologic association between species. Ecology 26.",
    "bootstrap": "Efron, B., Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman & Hall.",
    "affinities": "Turaga, S. C. et al. (2010). Convolutional networks can learn to generate affinity graphs for image "
    "segmentation. Neural Computation 22.",
    "superhuman": "Lee, K. et al. (2017). Superhuman accuracy on the SNEMI3D connectomics challenge. arXiv:1706.00120",
    "watershed": "Beucher, S., Lantuéjoul, C. (1979). Use of watersheds in contour detection. International Workshop "
    "on Image Processing.",
    "mutex": "Wolf, S. et al. (2018). The mutex watershed: efficient, parameter-free image partitioning. ECCV.",
    "gala": "Nunez-Iglesias, J. et al. (2013). Machine learning of hierarchical clustering to segment 2D and 3D "
    "images. PLoS ONE 8.",
    "multicut": "Beier, T. et al. (2017). Multicut brings automated neurite segmentation closer to human performance. "
    "Nature Methods 14.",
}
_NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "filter_bank": ("a perceptron on multi-scale Gaussian derivative features of single voxels", ("ilastik",)),
    "filter_unet": (
        "a U-Net on multi-scale Gaussian derivative features, added to a perceptron on the same features",
        ("unet", "ilastik"),
    ),
    "unet": ("a residual U-Net", ("unet", "kerfoot", "monai")),
    "dynunet": ("a U-Net planned after nnU-Net by the voxel size", ("unet", "nnunet", "monai")),
    "lean_unet": ("a U-Net on blocks of voxels", ("unet", "superhuman")),
}
_DECODERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "components": ("connected components above a threshold", ()),
    "watershed": ("a seeded watershed", ("watershed",)),
    "mutex_watershed": ("the mutex watershed", ("mutex",)),
    "agglomeration": ("a watershed into supervoxels and their agglomeration by mean evidence", ("watershed", "gala")),
    "multicut": ("a watershed into supervoxels and a multicut of their contacts", ("watershed", "multicut")),
}


class Paragraph:
    """Sentences, with references numbered in the order in which they are first cited."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._cited: list[str] = []

    def say(self, sentence: str, *cited: str) -> None:
        """Add a sentence without its full stop, and what it cites."""
        self._cited += [name for name in cited if name not in self._cited]
        marks = "".join(f" [{self._cited.index(name) + 1}]" for name in cited)
        self._sentences.append(f"{sentence}{marks}.")

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(self._sentences)

    @property
    def references(self) -> list[str]:
        """What was cited, in order."""
        return [REFERENCES[name] for name in self._cited]


def methods(facts: Mapping[str, Any]) -> Paragraph:
    """How the project's segmentation was made, from what `gather` found."""
    paragraph = Paragraph()
    _say_data(paragraph, facts)
    model = next((one for one in facts["models"] if one["is_in_use"] and not one["problem"]), None)
    if model is not None:
        _say_model(paragraph, model)
    segmentation = next((one for one in reversed(facts["segmentations"]) if one["active"]), None)
    if segmentation is not None:
        name, cited = _DECODERS.get(segmentation["decoder"].get("kind", ""), ("a decoder of its own kind", ()))
        paragraph.say(
            f"Objects were made of the prediction {segmentation['prediction']} by {name}, block by block: "
            f"{segmentation['n_supervoxels']:,} supervoxels in {segmentation['n_segments']:,} segments",
            *cited,
        )
    effort = facts["effort"]
    if effort["n_edits"]:
        kinds = ", ".join(
            f"{row['n']} {row['kind'].replace('_', ' ')}"
            for row in facts["edits"]
            if row["n"] and row["kind"] not in ("switch", "scribble", "mark_objects")
        )
        paragraph.say(
            f"They were proofread with {_n(effort['n_edits'], 'edit')} ({kinds}) in "
            f"{effort['minutes_proofreading']:.1f} minutes of active work"
        )
    return paragraph


def _say_data(paragraph: Paragraph, facts: Mapping[str, Any]) -> None:
    image, effort = facts["image"], facts["effort"]
    shape, size = " × ".join(map(str, image["shape"])), " × ".join(f"{v:g}" for v in image["voxel_size_nm"])
    paragraph.say(
        f"The volume ({shape} voxels of {size} nm along z, y, x, {image['dtype']}) was segmented with napari-pytc "
        f"{facts['versions'].get('napari-pytc', '')}, a plugin of napari, on PyTorch",
        "napari",
        "pytorch",
    )
    taught = ", ".join(f"{one['n_taught']:,} {one['name']}" for one in facts["classes"] if one["n_taught"])
    if taught:
        paragraph.say(
            f"{_n(effort['n_strokes'], 'stroke')}, painted in {effort['minutes_painting']:.1f} minutes of active work, "
            f"and {_n(effort['n_imports'], 'import')} of labels taught it (voxels: {taught})"
        )
    if facts["objects"]["n"]:
        paragraph.say(f"{facts['objects']['n']} objects were marked ({facts['objects']['n_voxels']:,} voxels)")
    if facts["held_out"]:
        n = sum(one["n_scored"] for one in facts["classes"])
        paragraph.say(
            f"{_n(len(facts['held_out']), 'box was', 'boxes were')} held out: neither the image nor the {n:,} "
            "annotated voxels there were seen by training or normalisation; half of their blocks chose among the "
            "weights of a training, the other half gives the scores"
        )


def _say_model(paragraph: Paragraph, model: Mapping[str, Any]) -> None:
    plan = model["plan"]
    name, cited = _NETWORKS.get(plan["network"]["kind"], (f"a network of kind {plan['network']['kind']}", ()))
    answers = "classes" if plan["target"]["kind"] == "classes" else "affinities of neighbouring voxels"
    paragraph.say(
        f"Predictions are of {model['id']} (recipe {model['recipe']}): {name}, trained to tell {answers}",
        *cited,
        *(() if answers == "classes" else ("affinities", "superhuman")),
    )
    loss = f"cross entropy{' and Dice loss' if plan['dice_weight'] else ''} of the annotated voxels alone"
    average = f", with averaged weights (decay {plan['ema_decay']:g})" if plan["ema_decay"] else ""
    paragraph.say(
        f"It was trained for {model['steps']:,} steps in {model['seconds']:.0f} s with AdamW (peak learning rate "
        f"{plan['learning_rate']:g}) to minimise {loss}{average}",
        *(("adamw", "dice_loss") if plan["dice_weight"] else ("adamw",)),
        *(("ema",) if plan["ema_decay"] else ()),
    )
    if plan["guess_weight"]:
        paragraph.say("Confident guesses of a model of single voxels taught it where nothing was painted", "pseudo")
    scores = model["scores"]
    if scores.get("mean") is not None:
        limits = model["interval"]
        known = "" if limits is None else f" (95 % bootstrap interval over blocks {limits[0]:.3f} to {limits[1]:.3f})"
        paragraph.say(
            f"On {scores.get('n_voxels') or 0:,} held-out voxels that decided nothing its mean score is "
            f"{scores['mean']:.3f}{known}",
            "dice",
            *(() if limits is None else ("bootstrap",)),
        )
    for comparison in model["comparisons"]:
        if comparison["difference"] is not None:
            paragraph.say(
                f"Against {comparison['baseline']} on the same voxels the difference is "
                f"{comparison['difference']:+.3f} ({comparison['low']:+.3f} to {comparison['high']:+.3f})"
            )


def commands(facts: Mapping[str, Any]) -> list[str]:
    """What does the same work again from the image, the painted labels and the edits."""
    project, image = facts["project"], facts["image"]
    size, names = ",".join(f"{v:g}" for v in image["voxel_size_nm"]), ",".join(one["name"] for one in facts["classes"])
    where = image["where"].replace(" ", ":", 1)
    found = [
        f"napari-pytc new {project} --image {shlex.quote(where)} --classes {shlex.quote(names)} --voxel-size {size}"
    ]
    found.append(f"napari-pytc annotate {project} LABELS   # the painted labels: annotations.zarr of this project")
    found += [f"napari-pytc hold-out {project} {box}" for box in facts["held_out"]]
    for model in facts["models"]:
        if not model["problem"]:
            parent = f" --from {model['parent']}" if model["parent"] else ""
            words = " ".join(shlex.quote(word) for word in settings_changed(model["recipe"], model["plan"]))
            found.append(f"napari-pytc train {project} --recipe {model['recipe']}{parent} {words}".rstrip())
    for one in facts["predictions"]:
        box = f" --box {one['box']}" if isinstance(one["box"], str) else ""
        found.append(f"napari-pytc predict {project} --model {one['model']}{box}{' --tta' if one['flips'] else ''}")
    for one in facts["segmentations"]:
        if not one["problem"] and one["decoder"]:
            words = " ".join(
                f"{key}={shlex.quote(_yaml(value))}" for key, value in one["decoder"].items() if key != "kind"
            )
            found.append(f"napari-pytc segment {project} --decoder {one['decoder']['kind']} {words}".rstrip())
    if facts["effort"]["n_edits"]:
        found.append(f"napari-pytc replay {project}   # makes every edit again from the journal and compares checksums")
    return found


def settings_changed(recipe: str, plan: Mapping[str, Any]) -> list[str]:
    """The settings of a plan that differ from its recipe, as the words that set them on the command line."""
    try:
        known = _flat(load_recipe(recipe).model_dump(mode="json"))
    except PytcError:  # a recipe of the user's own
        known = {}
    where = ("recipe", "device", "precision")
    return [
        f"{key}={_yaml(value)}" for key, value in _flat(plan).items() if key not in where and known.get(key) != value
    ]


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _n(number: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _yaml(value: Any) -> str:
    """A value as the command line reads it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
