"""A model applied to many files, one after the other; a file that fails does not end the others."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_pytc.batch.inputs import STATE
from napari_pytc.batch.jobs import ApplyJob, BatchInput
from napari_pytc.decoding.describe import describe_segmentation
from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.files import write_text_durably
from napari_pytc.jobs.context import JobCancelled, JobContext
from napari_pytc.jobs.events import Failed, Finished, JobEvent, Progressed, Warned
from napari_pytc.jobs.execution import EventContext, execute
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segmentation import read_record
from napari_pytc.plans.input_channels import check_n_inputs
from napari_pytc.plans.model_folder import ModelInfo, read_model_info, weights_path
from napari_pytc.plans.specs import PredictJob
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.image import open_image

_PARTS = 1000
_SHARES = {"predict": 0.7, "segment": 0.2, "export": 0.1}


@dataclass
class Row:
    """What became of one input."""

    input: str
    output: str
    state: Literal["done", "done before", "failed"] = "failed"
    shape: list[int] = field(default_factory=list)
    voxel_size_nm: list[float] | None = None
    n_segments: int | None = None
    seconds: float = 0.0
    error: str = ""
    hint: str = ""
    notes: list[str] = field(default_factory=list)


def apply(job: ApplyJob, ctx: JobContext) -> dict[str, Any]:
    """Apply a model to all inputs; files that an earlier run of the same work finished are left as they are.

    ::

        OUT/cells_segments.tif                            an output, complete or not there
        OUT/.napari-pytc-apply/cells_segments.tif.json    what it was made of: the ledger of the batch
        OUT/.napari-pytc-apply/cells_segments.tif/        prediction and segments while it is not finished

    Returns
    -------
    dict
        ``rows``, a `Row` an input; ``n_done``, ``n_done_before``, ``n_failed``; ``folder`` and ``notes``.
    """
    info = read_model_info(job.model)
    for note in job.notes:
        ctx.warn(note)
    batch = _Batch(job, info, _digest_of_file(weights_path(job.model)), ctx)
    rows = []
    for number, item in enumerate(job.inputs):
        ctx.check()
        row = batch.run(number, item)
        if row.state == "failed":
            ctx.warn(f"{item.path}: {row.error}")
        rows.append(row)
    ctx.report(len(rows) * _PARTS, len(rows) * _PARTS, "done")
    with suppress(OSError):  # where nothing is left of unfinished ones, the notes of finished ones stay
        batch.state.rmdir()
    counts = {state: sum(row.state == state for row in rows) for state in ("done", "done before", "failed")}
    return {
        "folder": str(job.folder),
        "rows": [asdict(row) for row in rows],
        "n_done": counts["done"],
        "n_done_before": counts["done before"],
        "n_failed": counts["failed"],
        "notes": list(job.notes),
    }


class _Batch:
    """The work of a batch on one input after the other."""

    def __init__(self, job: ApplyJob, info: ModelInfo, weights: str, ctx: JobContext) -> None:
        self.job, self.info, self.weights, self.ctx = job, info, weights, ctx
        self.state = job.folder / STATE
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"The folder {job.folder} cannot be made: {error.strerror or error}.", "Choose another one with --out."
            ) from error

    def run(self, number: int, item: BatchInput) -> Row:
        """Make the output of one input; what goes wrong is in its row."""
        begin = time.perf_counter()
        row = Row(item.path, str(self.job.folder / item.output))
        try:
            self._run(number, item, row)
        except PytcError as error:
            row.state, row.error, row.hint = "failed", error.message, error.hint
        row.seconds = round(time.perf_counter() - begin, 3)
        return row

    def _run(self, number: int, item: BatchInput, row: Row) -> None:
        source = open_image(item.path, self.job.options)
        row.notes += source.notes
        check_n_inputs(self.info, source.n_channels)
        row.shape = list(source.shape)
        size = source.space.voxel_size_nm
        if not source.space.known:
            size = self.info.voxel_size_nm
            text = " x ".join(f"{v:g}" for v in size)
            if self.info.is_voxel_size_known:
                row.notes.append(f"The file does not say its voxel size: that of the model, {text} nm, was assumed.")
            else:
                row.notes.append(f"Neither the file nor the model says its voxel size: {text} nm was assumed.")
        row.voxel_size_nm = list(size)
        digest = fingerprint(source).digest
        work = self._work(item, digest, size)
        output = self.job.folder / item.output
        before = self._noted(item)
        stamp = _stamp(output)
        if before.get("work") == work and stamp is not None and before.get("replaces") != stamp:
            row.state, row.n_segments = "done before", before.get("n_segments")
            shutil.rmtree(self.state / item.output, ignore_errors=True)
            return
        if output.exists() and not self.job.overwrite:
            made = f"made of {before['input']}" if before.get("work") else "not made by this command"
            if before.get("input") == item.path:
                made = "made of the same file by another model, with other settings, or before the file changed"
            raise InvalidInput(
                f"There is already a file {output}, {made}.",
                "Choose another folder with --out, or replace it with --overwrite.",
            )
        image = PredictJob(
            image=source.spec,
            digest=digest,
            voxel_size_nm=size,
            model=self.job.model,
            output=self.state / item.output / f"{Path(item.output).stem}.zarr",
            plan=self.job.plan,
        )
        self._start_over_unless_same(item, work)
        done = 0.0
        for step, spec in self._steps(image, output, row):
            if step == "export":
                self._note_output(item, work, output, row)
            share = _SHARES[step] if self.job.what == "segments" else _SHARES[step] / (1 - _SHARES["segment"])
            self._execute(spec, number, done, share, f"{item.output}: {step}", row)
            done += share
        row.state = "done"
        shutil.rmtree(self.state / item.output, ignore_errors=True)

    def _steps(self, image: PredictJob, output: Path, row: Row) -> Iterator[tuple[str, JobSpec]]:
        """Specs of the steps; each is described when those before it are done."""
        job = self.job
        yield "predict", image
        source: dict[str, Any] = {"prediction": image.output}
        if job.what == "segments":
            segments = image.output.parent / "segments"
            if not (segments / "segmentation.json").exists():
                yield (
                    "segment",
                    describe_segmentation(
                        image.output, segments, job.decoder, job.settings, job.model, workers=job.workers
                    ),
                )
            row.n_segments = read_record(segments).n_segments
            source = {"segmentation": segments}
        yield "export", ExportJob(what=job.what, output=output, overwrite=job.overwrite, **source)

    def _execute(self, spec: JobSpec, number: int, done: float, share: float, note: str, row: Row) -> None:
        """Run a step, with its progress as a part of the whole."""
        total = len(self.job.inputs) * _PARTS

        def emit(event: JobEvent) -> None:
            self.ctx.check()
            if isinstance(event, Progressed):
                part = event.done / event.total if event.total else 0.0
                self.ctx.report(int(_PARTS * (number + done + share * part)), total, note)
            elif isinstance(event, Warned) and event.message not in row.notes:
                row.notes.append(event.message)

        end = execute(lambda: spec, EventContext(spec.kind, emit))
        if isinstance(end, Failed):
            raise PytcError(end.message, end.hint)
        if not isinstance(end, Finished):
            raise JobCancelled

    def _work(self, item: BatchInput, digest: str, size: tuple[float, float, float]) -> str:
        """Digest of everything that decides an output."""
        job = self.job
        content = [
            self.weights,
            digest,
            size,
            job.what,
            job.plan.identity(),
            job.options.model_dump(mode="json"),
            job.decoder,
            job.settings,
            item.output,
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def _start_over_unless_same(self, item: BatchInput, work: str) -> None:
        """Delete what is left of other work on an output that is not finished."""
        place = self.state / item.output
        mark = place / "work"
        try:
            if place.exists() and (not mark.exists() or mark.read_text(encoding="utf-8") != work):
                shutil.rmtree(place)
            place.mkdir(parents=True, exist_ok=True)
            mark.write_text(work, encoding="utf-8")
        except OSError as error:
            raise _write_error(place, error) from error

    def _note_output(self, item: BatchInput, work: str, output: Path, row: Row) -> None:
        """Note what an output is made of, before it is: it appears as a whole, so then it is finished."""
        note = {"work": work, "input": item.path, "n_segments": row.n_segments, "replaces": _stamp(output)}
        try:
            write_text_durably(self._note(item), json.dumps(note))
        except OSError as error:
            raise _write_error(self._note(item), error) from error

    def _note(self, item: BatchInput) -> Path:
        return self.state / f"{item.output}.json"

    def _noted(self, item: BatchInput) -> dict[str, Any]:
        """What an output was made of; empty where it was not made by a batch."""
        try:
            found = json.loads(self._note(item).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _stamp(path: Path) -> list[int] | None:
    """What differs once a file or folder was replaced; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino]


def _write_error(path: Path, error: OSError) -> PytcError:
    return PytcError(
        f"{path} cannot be written: {error.strerror or error}.",
        "Free space on the disk, or choose another folder with --out.",
    )


def _digest_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()[:16]
