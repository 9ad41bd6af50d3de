"""The methods paragraph with numbers and references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_pytc.labels.segmentation import IMPORTED

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
    "mednext": "Roy, S. et al. (2023). MedNeXt: transformer-driven scaling of ConvNets for medical image segmentation. "
    "MICCAI.",
    "unetr": "Hatamizadeh, A. et al. (2022). UNETR: transformers for 3D medical image segmentation. WACV.",
    "swin_unetr": "Hatamizadeh, A. et al. (2021). Swin UNETR: Swin transformers for semantic segmentation of brain "
    "tumors in MRI images. MICCAI BrainLes.",
    "pytc": "Lin, Z. et al. (2021). PyTorch Connectomics: a scalable and flexible segmentation framework for EM "
    "connectomics. arXiv:2112.05754",
    "fpn": "Lin, T.-Y. et al. (2017). Feature pyramid networks for object detection. CVPR.",
    "ilastik": "Berg, S. et al. (2019). ilastik: interactive machine learning for (bio)image analysis. Nature "
    "Methods 16.",
    "adamw": "Loshchilov, I., Hutter, F. (2019). Decoupled weight decay regularization. ICLR.",
    "adam": "Kingma, D. P., Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.",
    "swa": "Izmailov, P. et al. (2018). Averaging weights leads to wider optima and better generalization. UAI.",
    "uncertainty": "Kendall, A., Gal, Y., Cipolla, R. (2018). Multi-task learning using uncertainty to weigh losses "
    "for scene geometry and semantics. CVPR.",
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
    "flow": "Stringer, C. et al. (2021). Cellpose: a generalist algorithm for cellular segmentation. Nature Methods "
    "18.",
    "lsd": "Sheridan, A. et al. (2023). Local shape descriptors for neuron segmentation. Nature Methods 20.",
    "skeleton": "Lin, Z. et al. (2023). Structure-preserving instance segmentation via skeleton-aware distance "
    "transform. MICCAI.",
    "watershed": "Beucher, S., Lantuéjoul, C. (1979). Use of watersheds in contour detection. International Workshop "
    "on Image Processing.",
    "mutex": "Wolf, S. et al. (2018). The mutex watershed: efficient, parameter-free image partitioning. ECCV.",
    "gala": "Nunez-Iglesias, J. et al. (2013). Machine learning of hierarchical clustering to segment 2D and 3D "
    "images. PLoS ONE 8.",
    "mitoem": "Wei, D. et al. (2020). MitoEM dataset: large-scale 3D mitochondria instance segmentation from EM "
    "images. MICCAI.",
    "waterz": "Funke, J. et al. (2019). Large scale image segmentation with structured loss based deep learning for "
    "connectome reconstruction. IEEE Trans. Pattern Anal. Mach. Intell. 41.",
    "multicut": "Beier, T. et al. (2017). Multicut brings automated neurite segmentation closer to human performance. "
    "Nature Methods 14.",
}
_CITED_BY_ROLE = {
    "affinity": ("affinities", "superhuman"),
    "flow": ("flow",),
    "lsd": ("lsd",),
    "skeleton_distance": ("skeleton",),
}
_OPTIMISERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "stochastic gradient descent"}
_NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "filter_bank": ("a perceptron on multi-scale Gaussian derivative features of single voxels", ("ilastik",)),
    "filter_unet": (
        "a U-Net on multi-scale Gaussian derivative features, added to a perceptron on the same features",
        ("unet", "ilastik"),
    ),
    "unet": ("a residual U-Net", ("unet", "kerfoot", "monai")),
    "monai_basic_unet3d": ("a plain U-Net of five levels", ("unet", "monai")),
    "dynunet": ("a U-Net planned after nnU-Net by the voxel size", ("unet", "nnunet", "monai")),
    "lean_unet": ("a U-Net on blocks of voxels", ("unet", "superhuman")),
    "mednext": ("a MedNeXt of a published size", ("mednext",)),
    "mednext_custom": ("a MedNeXt", ("mednext",)),
    "monai_unet": ("a residual U-Net", ("unet", "kerfoot", "monai")),
    "monai_unetr": ("a UNETR, a vision transformer with convolutions behind it", ("unetr", "monai")),
    "monai_swin_unetr": ("a Swin UNETR, attention within shifted windows", ("swin_unetr", "monai")),
    "monai_flexible_unet": ("a U-Net on a backbone for classification", ("unet", "monai")),
    "rsunet": ("a residual symmetric U-Net", ("superhuman", "pytc")),
    "unet_3d": ("the U-Net of PyTorch Connectomics", ("unet", "pytc")),
    "unet_2d": ("the U-Net of PyTorch Connectomics for single sections", ("unet", "pytc")),
    "fpn_3d": ("the feature pyramid network of PyTorch Connectomics", ("fpn", "pytc")),
    "section_unet": ("a two-dimensional U-Net on each section and its neighbours", ("unet",)),
}
_QUANTILES = (
    "a watershed into supervoxels and their agglomeration by a quantile of the evidence",
    ("watershed", "waterz"),
)
_DECODERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "components": ("connected components above a threshold", ()),
    "affinity_components": ("connected components of the affinities above a threshold", ("affinities",)),
    "watershed": ("a seeded watershed", ("watershed",)),
    "bcd_watershed": (
        "a watershed of the distance from seeds with strict thresholds on foreground, contour and distance",
        ("mitoem", "pytc"),
    ),
    "mutex_watershed": ("the mutex watershed", ("mutex",)),
    "agglomeration": ("a watershed into supervoxels and their agglomeration by mean evidence", ("watershed", "gala")),
    "multicut": ("a watershed into supervoxels and a multicut of their contacts", ("watershed", "multicut")),
}


class Paragraph:
    """Sentences, with references numbered in the order in which they are first cited."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._cited: list[str] = []

    def add(self, sentence: str, *cited: str) -> None:
        """Add a sentence without its full stop, and its references."""
        self._cited += [name for name in cited if name not in self._cited]
        marks = "".join(f" [{self._cited.index(name) + 1}]" for name in cited)
        self._sentences.append(f"{sentence}{marks}.")

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(self._sentences)

    @property
    def references(self) -> list[str]:
        """The references cited, in order."""
        return [REFERENCES[name] for name in self._cited]


def methods(facts: Mapping[str, Any]) -> Paragraph:
    """The methods paragraph of a project, from its facts."""
    paragraph = Paragraph()
    _add_data(paragraph, facts)
    model = next((one for one in facts["models"] if one["is_in_use"] and not one["problem"]), None)
    if model is not None:
        _add_model(paragraph, model)
    segmentation = next((one for one in reversed(facts["segmentations"]) if one["active"]), None)
    if segmentation is not None:
        kind = segmentation["decoder"].get("kind", "")
        name, cited = _DECODERS.get(kind, ("a decoder of its own kind", ()))
        if segmentation["decoder"].get("score", "mean") != "mean":
            name, cited = _QUANTILES
        made = f"Objects were made of the prediction {segmentation['prediction']} by {name}, block by block"
        if kind == IMPORTED:
            made = "Objects were imported from labels that another program made"
        counts = f"{segmentation['n_supervoxels']:,} supervoxels in {segmentation['n_segments']:,} segments"
        paragraph.add(f"{made}: {counts}", *cited)
    effort = facts["effort"]
    if effort["n_edits"]:
        kinds = ", ".join(
            f"{row['n']} {row['kind'].replace('_', ' ')}"
            for row in facts["edits"]
            if row["n"] and row["kind"] not in ("switch", "scribble", "mark_objects")
        )
        paragraph.add(
            f"They were proofread with {_n(effort['n_edits'], 'edit')} ({kinds}) in "
            f"{effort['minutes_proofreading']:.1f} minutes of active work"
        )
    return paragraph


def _add_data(paragraph: Paragraph, facts: Mapping[str, Any]) -> None:
    image, effort = facts["image"], facts["effort"]
    shape, size = " × ".join(map(str, image["shape"])), " × ".join(f"{v:g}" for v in image["voxel_size_nm"])
    channels = (
        f", {len(image['channels'])} channels: {', '.join(image['channels'])}" if len(image["channels"]) > 1 else ""
    )
    paragraph.add(
        f"The volume ({shape} voxels of {size} nm along z, y, x, {image['dtype']}{channels}) was segmented with "
        f"napari-pytc {facts['versions'].get('napari-pytc', '')}, a plugin of napari, on PyTorch",
        "napari",
        "pytorch",
    )
    trained = ", ".join(f"{one['n_taught']:,} {one['name']}" for one in facts["classes"] if one["n_taught"])
    if trained:
        paragraph.add(
            f"Training data are {_n(effort['n_strokes'], 'stroke')}, painted in {effort['minutes_painting']:.1f} "
            f"minutes of active work, and {_n(effort['n_imports'], 'import')} of labels (voxels: {trained})"
        )
    if facts["objects"]["n"]:
        paragraph.add(f"{facts['objects']['n']} objects were marked ({facts['objects']['n_voxels']:,} voxels)")
    if facts["held_out"]:
        n = sum(one["n_scored"] for one in facts["classes"])
        paragraph.add(
            f"{_n(len(facts['held_out']), 'box was', 'boxes were')} held out: neither the image nor the {n:,} "
            "annotated voxels there were seen by training or normalisation; half of their blocks chose among the "
            "weights of a training, the other half gives the scores"
        )


def _add_model(paragraph: Paragraph, model: Mapping[str, Any]) -> None:
    plan = model["plan"]
    name, cited = _NETWORKS.get(plan["network"]["kind"], (f"a network of kind {plan['network']['kind']}", ()))
    answers, cited_by_answers = _answers(plan["target"])
    paragraph.add(
        f"Predictions are of {model['id']} (recipe {model['recipe']}): {name}, trained to tell {answers}",
        *cited,
        *cited_by_answers,
    )
    _add_optimisation(paragraph, model, plan)
    if plan["guess_weight"]:
        paragraph.add(
            "Where nothing was painted, confident predictions of a model of single voxels served as pseudo-labels",
            "pseudo",
        )
    scores = model["scores"]
    if scores.get("mean") is not None:
        limits = model["interval"]
        known = "" if limits is None else f" (95 % bootstrap interval over blocks {limits[0]:.3f} to {limits[1]:.3f})"
        paragraph.add(
            f"On {scores.get('n_voxels') or 0:,} held-out voxels that decided nothing its mean score is "
            f"{scores['mean']:.3f}{known}",
            "dice",
            *(() if limits is None else ("bootstrap",)),
        )
    for comparison in model["comparisons"]:
        if comparison["difference"] is not None:
            paragraph.add(
                f"Against {comparison['baseline']} on the same voxels the difference is "
                f"{comparison['difference']:+.3f} ({comparison['low']:+.3f} to {comparison['high']:+.3f})"
            )


def _answers(target: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """What a network was trained to tell, and the work that it rests on."""
    if target["kind"] == "classes":
        return "classes", ()
    if target["kind"] != "channels":
        return "affinities of neighbouring voxels", ("affinities", "superhuman")
    roles = list(dict.fromkeys(channel["role"] for channel in target["channels"]))
    cited = tuple(name for role in roles for name in _CITED_BY_ROLE.get(role, ()))
    *first, last = (role.replace("_", " ") for role in roles)
    return " and ".join(part for part in (", ".join(first), last) if part), cited


def _add_optimisation(paragraph: Paragraph, model: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """What was minimised, and how; models of older versions do not say more than rate, Dice weight and average."""
    optimiser = plan.get("optimiser", {"kind": "adamw"})["kind"]
    schedule = plan.get("schedule", {"kind": "cosine"})["kind"]
    terms = plan.get("losses") or ()
    by_terms = plan["target"]["kind"] == "channels" and not terms
    loss = " and ".join(part for part in ("cross entropy", "Dice loss" if plan["dice_weight"] else "") if part)
    if terms:
        loss = "the sum of " + ", ".join(_term(term) for term in terms)
        loss += " with learnt weights" if plan.get("loss_balancing") == "uncertainty" else ""
    elif by_terms:
        loss = "a loss of each channel"
    gathered = plan.get("gradients", {}).get("accumulate", 1)
    batches = f", each of {gathered} batches," if gathered > 1 else ""
    swa = plan.get("averaging", {}).get("swa_start")
    average = f", with averaged weights (decay {plan['ema_decay']:g})" if plan["ema_decay"] else ""
    if swa is not None:
        average = f", with the mean of the weights of the last {1 - swa:.0%} of the training"
    paragraph.add(
        f"It was trained for {model['steps']:,} steps{batches} in {model['seconds']:.0f} s with "
        f"{_OPTIMISERS[optimiser]} (peak learning rate {plan['learning_rate']:g}"
        f"{'' if schedule == 'cosine' else f', schedule {schedule}'}) to minimise {loss} of the annotated voxels "
        f"alone{average}",
        *(name for name in (optimiser,) if name in REFERENCES),
        *(("dice_loss",) if plan["dice_weight"] and not terms and not by_terms else ()),
        *(("uncertainty",) if terms and plan.get("loss_balancing") == "uncertainty" else ()),
        *(("swa",) if swa is not None else ("ema",) if plan["ema_decay"] else ()),
    )


def _term(term: Mapping[str, Any]) -> str:
    where = term["channels"] if term["channels"] is not None else ", ".join(term["heads"])
    times = "" if term["weight"] == 1 else f"{term['weight']:g} times "
    return f"{times}{term['loss']['kind']}{f' of channels {where}' if where else ''}"


def _n(number: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
