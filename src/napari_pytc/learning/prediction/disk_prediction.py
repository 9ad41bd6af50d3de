"""Prediction of a volume into an OME-Zarr, which a later run can resume."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.ledger import Ledger
from napari_pytc.learning.machine.devices import available_devices
from napari_pytc.learning.machine.memory import free_memory_bytes
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.learning.prediction.copies import notes_on_sources, with_reach
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.predictor import PredictionReport, Predictor
from napari_pytc.learning.prediction.scales import ScaleCombination, note_on_scales, scaled_images
from napari_pytc.learning.prediction.tile_shape import CHUNK, fit_tile
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.learning.prediction.view_first import predict_view_first
from napari_pytc.learning.prediction.volume_normalisation import (
    VolumeNormalisation,
    choose_normalisation,
    stored_normalisation,
)
from napari_pytc.learning.prediction.window_inferer import WindowInferer
from napari_pytc.learning.prediction.window_predictor import WindowPredictor, fit_window_tile
from napari_pytc.plans.input_channels import check_n_inputs, other_channels_note
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.specs import PredictJob
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import Tiling, Windows, WindowSettings
from napari_pytc.volumes.channels import NOTE, ChannelRole, on_other_voxels, prediction_attributes
from napari_pytc.volumes.fingerprint import check_image
from napari_pytc.volumes.image import open_image_spec
from napari_pytc.volumes.resampling import ResampledImage, VoxelSize, differs, size_text
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr, open_ome_zarr

LEDGER = ".finished-tiles"
"""The list of finished tiles, inside the prediction's folder: it is copied and deleted with it."""
_TILES = ".tiles.json"
_NORMALISATION, _RESAMPLED, _WINDOWS, _COPIES = "normalisation", "network_voxel_size_nm", "windows", "tta"
_SIZE_UNKNOWN = "The model does not say which voxel size it learnt: the volume is predicted on its own voxels."
_OTHER_OUTPUT = "Name another output, or delete that one."


@dataclass(frozen=True)
class DiskPrediction:
    """A prediction on disk and how it went."""

    output: Path
    report: PredictionReport
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """The result of the job."""
        return {
            "output": str(self.output),
            "tiles": self.report.tiles,
            "tiles_done_before": self.report.tiles_done_before,
            "seconds": round(self.report.seconds, 3),
            "mvoxel_per_s": round(self.report.mvoxel_per_s, 4),
            "notes": list(self.notes),
        }


def run(job: PredictJob, ctx: JobContext) -> dict[str, Any]:
    """Run a model over a volume, or a box of it; returns the output, the number of tiles, seconds and Mvoxel/s."""
    return predict_to_disk(job, ctx).summary()


def predict_to_disk(job: PredictJob, ctx: JobContext) -> DiskPrediction:
    """Open image and model of a job and predict, going on where an earlier run of the same work stopped."""
    job = _on_a_device(job)
    source = open_image_spec(job.image)
    whole = Box.of_shape(source.shape)
    box = whole if job.box is None else job.box
    if box.is_empty or not whole.contains(box):
        raise InvalidInput(f"The box {box} does not lie within the volume {whole}.", "Choose a box inside of it.")
    model = TrainedModel.load(job.model)
    check_n_inputs(model.info, source.n_channels)
    ctx.check()
    flips, image = job.plan.has_all_flips, check_image(source, job.digest)
    work: dict[str, Any] = {"model": model.fingerprint, "id": model.info.id, "flips": flips, "image": image}
    tiling, tiling_notes = _tiling(job.plan, model)
    if isinstance(tiling, Windows):
        work[_WINDOWS] = str(tiling)
    if job.plan.copies.stamp:
        work[_COPIES] = job.plan.copies.stamp
    view = _network_view(job, source, model)
    copy_notes = _check_copies(job, source, view, _smallest_block(job.plan, view, tiling, box))
    earlier = _earlier(job.output, source, view, work)
    normalisation = _normalisation(job, model, view.resampled or source, image, earlier)
    other = other_channels_note(model.info, source.channel_names)
    notes = (*job.notes, *tiling_notes, *copy_notes, *([other] if other else ()), *view.notes, *normalisation.notes)
    for sentence in notes:
        ctx.warn(sentence)
    # The memory that is free now must not change the tiles of a prediction that is half done.
    before = None if job.within else _tiles_before(job.output, box)
    tile_shape = job.plan.tile_shape or before
    scaled = scaled_images(source, job.plan.copies, *_voxel_sizes(job, source, view))
    predictor = make_predictor(
        view, tiling, normalisation.normalisation, job.plan, tile_shape, (box, whole), ctx, scaled
    )
    ctx.check()
    attributes = {**work, _NORMALISATION: normalisation.attributes, _RESAMPLED: view.voxel_size_nm}
    sink = earlier if earlier is not None else _create(job, source, view, attributes)
    try:
        report = _predict(job, predictor, source, sink, box, ctx, sorted(work.items()))
    finally:  # also after a cancel: a run that goes on only reads what is left
        replaced = _note_on_unknown(predictor.n_unknown, view.resampled is None)
        if replaced:
            ctx.warn(replaced)
    return DiskPrediction(job.output, report, (*notes, *([replaced] if replaced else ())))


def _on_a_device(job: PredictJob) -> PredictJob:
    """The job on a device that is there, where it may be another than its plan's."""
    wanted, present = job.plan.device, available_devices()
    if not job.any_device or wanted == "auto" or wanted in present:
        return job
    note = f"The prediction was begun on {wanted}, which this machine does not have; it goes on on {present[0]}."
    plan = job.plan.model_copy(update={"device": "auto"})
    return job.model_copy(update={"plan": plan, "notes": (*job.notes, note)})


def _predict(
    job: PredictJob,
    predictor: Predictor,
    source: ImageSource,
    sink: ChunkedArray,
    box: Box,
    ctx: JobContext,
    work: Sequence[tuple[str, Any]],
) -> PredictionReport:
    if job.within:
        return predictor.predict(source, sink, box, ctx, focus=job.focus)
    _note_tiles(job.output, box, predictor.tile_shape)
    ledger = Ledger(job.output / LEDGER, f"{work} {box} {predictor.tile_shape}")
    try:
        if job.view is not None:
            predict_view_first(job.view, predictor, source, sink, box, ctx, ledger.done())
        return predictor.predict(source, sink, box, ctx, focus=job.focus, done=ledger)
    finally:
        ledger.close()


def _note_on_unknown(n: int, is_exact: bool) -> str:
    """A note on intensities that are no finite numbers: resampled, one may be in several voxels, or in none."""
    if not n:
        return ""
    voxels, verb = ("voxel", "is") if n == 1 and is_exact else ("voxels", "are")
    number = f"{n:,}" if is_exact else "Some"
    return f"{number} {voxels} of the image {verb} no finite number; the mean intensity was taken in place."


@dataclass(frozen=True)
class _NetworkView:
    """A volume as a model sees it.

    Parameters
    ----------
    model : TrainedModel
        The model.
    resampled : ResampledImage, optional
        The volume on the model's voxels, where its own are of another size.
    roles : tuple of ChannelRole
        Roles of the channels on the volume's own voxels.
    notes : tuple of str
        What was converted, a sentence each.
    """

    model: TrainedModel
    resampled: ResampledImage | None
    roles: tuple[ChannelRole, ...]
    notes: tuple[str, ...]

    @property
    def voxel_size_nm(self) -> list[float] | None:
        """The voxel size that the network sees, where the volume is resampled."""
        return None if self.resampled is None else list(self.model.info.voxel_size_nm)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(role.title for role in self.roles)

    def seen(self, shape: Shape) -> Shape:
        """About how many of the network's voxels a box of the volume's own voxels has, along each axis."""
        if self.resampled is None:
            return shape
        z, y, x = (max(1, round(n / f)) for n, f in zip(shape, self.resampled.grid.factors, strict=True))
        return (z, y, x)

    def on_own_voxels(self, tile: Shape) -> Shape:
        """A tile of the network's voxels on the volume's own, in whole chunks."""
        if self.resampled is None:
            return tile
        z, y, x = (
            max(c, int(n * f) // c * c) for n, f, c in zip(tile, self.resampled.grid.factors, CHUNK, strict=True)
        )
        return (z, y, x)


def _network_view(job: PredictJob, source: ImageSource, model: TrainedModel) -> _NetworkView:
    found = model.on_its_voxels(source, job.voxel_size_nm)
    if found is None:
        is_size_known = job.voxel_size_nm is not None or source.space.known
        is_told = is_size_known and not model.info.is_voxel_size_known
        return _NetworkView(model, None, model.predicted_roles, (_SIZE_UNKNOWN,) if is_told else ())
    own = size_text(job.voxel_size_nm or source.space.voxel_size_nm)
    wanted = size_text(model.info.voxel_size_nm)
    if not job.plan.resample:
        note = f"The model was trained on voxels of {wanted} nm, these are {own} nm: expect a worse prediction."
        return _NetworkView(model, None, model.predicted_roles, (note,))
    notes = [
        f"The volume has voxels of {own} nm and is resampled to the model's {wanted} nm; the prediction is on the "
        "volume's own voxels."
    ]
    roles = tuple(on_other_voxels(role, found.grid.factors) for role in model.predicted_roles)
    if roles != model.predicted_roles:
        notes.append("Offsets of affinities are those of the model in nm, rounded to voxels of this volume.")
    return _NetworkView(model, found, roles, tuple(notes))


def _voxel_sizes(job: PredictJob, source: ImageSource, view: _NetworkView) -> tuple[VoxelSize, VoxelSize]:
    """Voxel sizes of the volume, and as the network sees it."""
    own = job.voxel_size_nm or source.space.voxel_size_nm
    return own, own if view.resampled is None else view.model.info.voxel_size_nm


def _smallest_block(plan: PredictPlan, view: _NetworkView, tiling: Tiling, box: Box) -> Shape:
    """The windows, or what a network of exact tiles sees of a box: its depth is 1 where it sees single sections."""
    if isinstance(tiling, Windows):
        return tiling.shape
    limits = with_reach(tiling, view.model.roles, plan.copies.orientations)
    tile = box.shape if plan.tile_shape is None else plan.tile_shape
    # A margin that lies beyond the volume is filled, too.
    z, y, x = (
        max(min(n, t) + 2 * halo, multiple)
        for n, t, halo, multiple in zip(box.shape, tile, limits.halo, limits.alignment, strict=True)
    )
    return (z, y, x)


def _check_copies(job: PredictJob, source: ImageSource, view: _NetworkView, block: Shape) -> list[str]:
    """Notes on test-time augmentation of blocks or windows of a shape.

    Raises
    ------
    InvalidInput
        If copies make no sense for the model, or voxels are not as long along y as along x and are to be turned.
    """
    copies, model = job.plan.copies, view.model
    if not copies.is_used:
        return []
    copies.combinations(model.predicted_roles)
    _, size = _voxel_sizes(job, source, view)
    if copies.turns and differs(size, (size[0], size[2], size[2])):
        raise InvalidInput(
            f"tta.turns turns the image by quarters in the plane, where voxels are as long along y as along x; these "
            f"are {size_text(size)} nm.",
            "Set tta.turns=false.",
        )
    of_scales = note_on_scales(model.predicted_roles, copies)
    return [
        copies.cost_note(block),
        *notes_on_sources(model.roles, model.kept, copies.orientations),
        *([of_scales] if of_scales else []),
    ]


def _tiling(plan: PredictPlan, model: TrainedModel) -> tuple[Tiling, tuple[str, ...]]:
    """Limits of tiles, or windows as the plan has them, and notes for the user."""
    kind = model.info.plan.network.kind
    if isinstance(model.tiling, Windows):
        windows = model.windows(plan.windows)
        return windows, (f"The network {kind} predicts in overlapping windows of {windows}.",)
    if plan.windows == WindowSettings():
        return model.tiling, ()
    return model.tiling, (f"The network {kind} predicts in exact tiles, so that the settings of windows do nothing.",)


def make_predictor(
    view: _NetworkView,
    tiling: Tiling,
    normalisation: ImageNormalisation,
    plan: PredictPlan,
    tile_shape: Shape | None,
    boxes: tuple[Box, Box],
    ctx: JobContext,
    scaled: Sequence[ResampledImage] = (),
) -> Predictor:
    """A predictor on the device and with the precision that the plan or the machine decide.

    Parameters
    ----------
    boxes : tuple of Box
        What is predicted, and the whole volume.
    scaled : sequence of ResampledImage
        The volume at other scales.
    """
    model, copies = view.model, plan.copies
    device, precision = model.place(plan.device, plan.precision, ctx)
    free_bytes, n_channels = free_memory_bytes(device), len(model.roles)
    # A tile has as many more of the network's voxels as the largest scale says; windows of all scales are summed.
    share = math.ceil(max(copies.scales) ** 2)
    options: dict[str, Any] = {"tta": copies, "warn": ctx.warn, "roles": model.roles, "kept": model.kept}
    scales = (scaled, _combination_of_scales(model, copies))
    if isinstance(tiling, Windows):
        inferer = WindowInferer(model.network, tiling, device, precision, **options)
        if tile_shape is None:
            seen, whole = (view.seen(box.shape) for box in boxes)
            n_summed = inferer.n_sums * (n_channels if tiling.average == "logits" else len(model.kept))
            of_one = free_bytes // (share * len(copies.scales))
            tile_shape = view.on_own_voxels(fit_window_tile(seen, whole, tiling, n_summed, model.info.n_inputs, of_one))
        return WindowPredictor(inferer, normalisation, tile_shape, view.resampled, *scales)
    exact = Inferer(model.network, tiling, device, precision, **options)
    if tile_shape is None:
        memory = model.network.tile_memory(tiling, n_channels)
        fitting = fit_tile(view.seen(boxes[0].shape), exact.limits, memory, free_bytes // share)
        tile_shape = view.on_own_voxels(fitting)
    return TiledPredictor(exact, normalisation, tile_shape, view.resampled, *scales)


def _combination_of_scales(model: TrainedModel, copies: TtaSettings) -> ScaleCombination:
    roles = model.predicted_roles
    exclusive = OutputActivation(model.roles, model.kept).exclusive_kept if copies.is_used else []
    return ScaleCombination(copies.combinations(roles), [role.is_scale_free for role in roles], exclusive)


def _earlier(output: Path, source: ImageSource, view: _NetworkView, work: dict[str, Any]) -> ChunkedArray | None:
    """The prediction to resume, if there is one; one of other work is refused, because the two would be mixed."""
    if not output.exists():
        return None
    sink = open_ome_zarr(output, writable=True)
    if tuple(sink.shape) != tuple(source.shape) or tuple(sink.channels) != view.channels:
        raise InvalidInput(
            f"{output} holds {' x '.join(map(str, sink.shape))} voxels of {', '.join(sink.channels) or 'no classes'}; "
            f"this prediction needs {' x '.join(map(str, source.shape))} of {', '.join(view.channels)}.",
            _OTHER_OUTPUT,
        )
    note = sink.attributes.get(NOTE, {})
    for key, what in (
        ("model", "by another model"),
        ("image", "of another image"),
        ("flips", "with other flips"),
        (_WINDOWS, "with other windows"),
        (_COPIES, "with other test-time augmentation"),
    ):
        if note.get(key) != work.get(key):
            raise InvalidInput(f"{output} holds a prediction made {what}.", _OTHER_OUTPUT)
    if note.get(_RESAMPLED) != view.voxel_size_nm:  # older versions did not resample
        raise InvalidInput(f"{output} holds a prediction made on voxels of another size.", _OTHER_OUTPUT)
    return sink


def _normalisation(
    job: PredictJob, model: TrainedModel, volume: ImageSource, digest: str, earlier: ChunkedArray | None
) -> VolumeNormalisation:
    """The normalisation of the prediction to resume, else one by the plan's setting.

    Raises
    ------
    InvalidInput
        If the prediction to resume was made with another one.
    """
    setting = job.plan.normalisation
    if earlier is None:
        return choose_normalisation(setting, model, volume, digest)
    stored = stored_normalisation(earlier.attributes.get(NOTE, {}).get(_NORMALISATION))
    if stored is not None and stored.setting == setting:
        return stored
    chosen = choose_normalisation(setting, model, volume, digest)
    before = model.normalisation if stored is None else stored.normalisation  # as before there was a choice
    if chosen.normalisation != before:
        raise InvalidInput(f"{job.output} holds a prediction made with another normalisation.", _OTHER_OUTPUT)
    return chosen


def _tiles_before(output: Path, box: Box) -> Shape | None:
    try:
        note = json.loads((output / _TILES).read_text(encoding="utf-8"))
        z, y, x = (int(n) for n in note["tile_shape"])
        return (z, y, x) if note["box"] == str(box) and min(z, y, x) > 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note_tiles(output: Path, box: Box, tile_shape: Shape) -> None:
    text = json.dumps({"box": str(box), "tile_shape": list(tile_shape)})
    with suppress(OSError):  # without it a later run may start over: no reason to end this one
        write_text_durably(output / _TILES, text)


def _create(job: PredictJob, source: ImageSource, view: _NetworkView, note: dict[str, Any]) -> ChunkedArray:
    space, info = source.space, view.model.info
    if job.voxel_size_nm is not None:
        space = VoxelSpace(job.voxel_size_nm, space.origin_nm)
    z, y, x = (min(c, n) for c, n in zip(CHUNK, source.shape, strict=True))
    return create_ome_zarr(
        job.output,
        source.shape,
        np.dtype(np.uint8),
        space,
        channels=view.channels,
        chunk_shape=(z, y, x),
        attributes={
            NOTE: {**note, **prediction_attributes(view.roles, info.plan.decoder, info.boundary_class)},
        },
    )
