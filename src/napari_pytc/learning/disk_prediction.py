"""A prediction job: from a model folder and a volume to an OME-Zarr that a later run can go on with."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.ledger import Ledger
from napari_pytc.learning.first_look import look_first
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.jobs import PredictJob, check_image
from napari_pytc.learning.memory import free_memory_bytes
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.prediction import PredictionReport, TiledPredictor
from napari_pytc.learning.tile_shape import CHUNK, fit_tile, tile_memory
from napari_pytc.volumes.channels import KEY as CHANNELS
from napari_pytc.volumes.channels import roles_to_json
from napari_pytc.volumes.opening import open_spec
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr, open_ome_zarr

LEDGER = ".finished-tiles"
"""The list of finished tiles, inside the prediction's folder: it is copied and deleted with it."""
_TILES = ".tiles.json"
_NOTE = "napari_pytc"


@dataclass(frozen=True)
class DiskPrediction:
    """A prediction on disk and how it went."""

    output: Path
    report: PredictionReport

    def summary(self) -> dict[str, Any]:
        """What the job answers."""
        return {
            "output": str(self.output),
            "tiles": self.report.tiles,
            "tiles_done_before": self.report.tiles_done_before,
            "seconds": round(self.report.seconds, 3),
            "mvoxel_per_s": round(self.report.mvoxel_per_s, 4),
        }


def predict_to_disk(job: PredictJob, ctx: JobContext) -> DiskPrediction:
    """Open what a job names and predict, going on where an earlier run of the same work stopped."""
    source = open_spec(job.image)
    whole = Box.of_shape(source.shape)
    box = whole if job.box is None else job.box
    if box.is_empty or not whole.contains(box):
        raise InvalidInput(f"The box {box} does not lie within the volume {whole}.", "Choose a box inside of it.")
    model = TrainedModel.load(job.model)
    for sentence in model.doubts(source, job.voxel_size_nm):
        ctx.warn(sentence)
    ctx.check()
    flips, image = job.plan.flips, check_image(source, job.image_digest)
    work = {"model": model.fingerprint, "id": model.info.id, "flips": flips, "image": image}
    earlier = _earlier(job.output, source, model, work)
    # The memory that is free now must not change the tiles of a prediction that is half done.
    before = None if job.within else _tiles_before(job.output, box)
    predictor = make_predictor(model, job, job.plan.tile_shape or before, box.shape, ctx)
    ctx.check()
    sink = earlier if earlier is not None else _create(job, source, model, work)
    if job.within:
        return DiskPrediction(job.output, predictor.predict(source, sink, box, ctx, focus=job.focus))
    _note_tiles(job.output, box, predictor.tile_shape)
    ledger = Ledger(job.output / LEDGER, f"{sorted(work.items())} {box} {predictor.tile_shape}")
    try:
        if job.view is not None:
            look_first(job.view, predictor, source, sink, box, ctx, ledger.done())
        report = predictor.predict(source, sink, box, ctx, focus=job.focus, done=ledger)
    finally:
        ledger.close()
    return DiskPrediction(job.output, report)


def make_predictor(
    model: TrainedModel, job: PredictJob, tile_shape: Shape | None, volume: Shape, ctx: JobContext
) -> TiledPredictor:
    """A predictor on the device and with the precision that the plan or the machine decide."""
    device, arithmetic = model.place(job.plan.device, job.plan.precision)
    inferer = Inferer(
        model.network, model.limits, device, arithmetic, flips=job.plan.flips, warn=ctx.warn, roles=model.roles
    )
    if tile_shape is None:
        memory = tile_memory(model.network, model.limits, len(model.info.classes))
        tile_shape = fit_tile(volume, inferer.limits, memory, free_memory_bytes(device))
    return TiledPredictor(inferer, model.normalisation, tile_shape)


def _earlier(output: Path, source: VolumeSource, model: TrainedModel, work: dict[str, Any]) -> ChunkedArray | None:
    """The prediction to go on with, if there is one; of other work it is refused, because the two would be mixed."""
    if not output.exists():
        return None
    sink = open_ome_zarr(output, writable=True)
    hint = "Name another output, or delete that one."
    if tuple(sink.shape) != tuple(source.shape) or tuple(sink.channels) != model.info.classes:
        raise InvalidInput(
            f"{output} holds {' x '.join(map(str, sink.shape))} voxels of {', '.join(sink.channels) or 'no classes'}; "
            f"this prediction needs {' x '.join(map(str, source.shape))} of {', '.join(model.info.classes)}.",
            hint,
        )
    note = sink.attributes.get(_NOTE, {})
    for key, what in (("model", "by another model"), ("image", "of another image"), ("flips", "with other flips")):
        if note.get(key) != work[key]:
            raise InvalidInput(f"{output} holds a prediction made {what}.", hint)
    return sink


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


def _create(job: PredictJob, source: VolumeSource, model: TrainedModel, note: dict[str, Any]) -> ChunkedArray:
    space = source.space
    if job.voxel_size_nm is not None:
        space = VoxelSpace(job.voxel_size_nm, space.origin_nm)
    z, y, x = (min(c, n) for c, n in zip(CHUNK, source.shape, strict=True))
    return create_ome_zarr(
        job.output,
        source.shape,
        np.dtype(np.uint8),
        space,
        channels=model.info.classes,
        chunk_shape=(z, y, x),
        attributes={_NOTE: {**note, CHANNELS: roles_to_json(model.roles)}},
    )
