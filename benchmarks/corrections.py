"""What corrections teach: a simulated proofreader works on one part of the medulla, and a disjoint part is segmented.

Run ``python benchmarks/corrections.py [--steps 600] [--answers 300] [--seeds 3]``; for a short look
``--model FOLDER --steps 60 --answers 60 --width 128``.

A parent is trained by the recipe `neurites` on all neurons of the first sections (or taken from ``--model``), the next
sections are segmented with it, and a proofreader who knows the truth looks at the largest segments first: one that is
two neurons is cut with a click in the middle of either. Then comes the review queue: two segments that mostly are one
neuron are merged, others cut. At the end the largest of the segments that are right are locked. Then the parent is
trained on for the same number of steps

    none      on what it was trained on alone
    labels    and on the voxels that the edits gave another segment, repainted with its id
    links     and on the edits as the project collects them: joined contacts, cuts, whole segments

each from the same parent with the same settings, in turns over seeds. Sections that neither training nor proofreading
saw are predicted and decoded with each; VOI is of all voxels, with the recipe's decoder and with its slider where VOI
is least. How much was forgotten is seen on the first sections. Before that: how often what the edits say of pairs of
voxels is wrong.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import h5py
import numpy as np
from dense_models import Console
from proofreader import Oracle
from segmentation_quality import figures
from simulated_annotator import DATA

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER, ObjectRelations
from napari_pytc.decoding import DecoderSettings
from napari_pytc.decoding.evidence import Evidence, EvidenceReader
from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.labels.store import LabelStore
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe, plan_from_yaml
from napari_pytc.plans.specs import PredictJob, TrainJob
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Lock
from napari_pytc.proofreading.edits.split import Split
from napari_pytc.session.session import Session

SIZE_NM = (10.0, 10.0, 10.0)
VARIANTS = ("none", "labels", "links")
THRESHOLDS = (0.4, 0.55, 0.6, 0.65, 0.7)
PAIRS = (1, 9)
"""How far apart voxels lie of which is told how often corrections are wrong."""
_SHOWN = 24
"""Sections of those that the parent was trained on, for what was forgotten."""
_SECOND_SHARE = 0.03
"""A segment of which so much is another neuron is cut: one that runs along a large one is still plain to see."""
_RIGHT = 0.9
"""A segment that overlaps its neuron by so much (IoU) is right, and may be locked."""
Row = tuple[float, float, float]
"""Split and merge of VOI, adapted Rand error."""


class Bench:
    """A project on the medulla, and what is trained, proofread and tested of it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        with h5py.File(DATA / "medulla.h5") as file:
            part = (slice(None), slice(0, options.width), slice(0, options.width))
            raw, self.truth = file["raw"][part], file["neurons"][part].astype(np.uint32)
        with h5py.File(folder / "raw.h5", "w") as file:
            file["raw"] = raw
        self.session = Session.create(folder / "a.pytc", f"{folder / 'raw.h5'}:raw", ["neuron"], SIZE_NM)
        self.trained, self.corrected, self.tested = (self.sections(*s) for s in options.sections)
        self.session.objects.add(self.truth[self.trained.slices], self.trained.start)

    def sections(self, first: int, stop: int) -> Box:
        return Box((first, 0, 0), (stop, *self.truth.shape[1:]))

    def train(self, plan: TrainPlan, name: str, parent: Path | None = None, corrections: Path | None = None) -> Path:
        """A model of this plan."""
        draft: TrainJob = self.session.jobs.train_job(plan, parent, resume=False)
        folders = {"model_folder": self.folder / "models" / name, "run_folder": self.folder / "runs" / name}
        job = draft.model_copy(
            update={
                "inputs": (draft.inputs[0].model_copy(update={"corrections": corrections}),),
                "output": draft.output.model_copy(update=folders),
            }
        )
        answer = job.run(Console())
        print(f"{name}: {answer['steps']} steps in {answer['seconds']:.0f} s", flush=True)
        return job.output.model_folder

    def predicted(self, model: Path, box: Box) -> Evidence:
        """A prediction of a box."""
        place = self.folder / f"{model.name}-{box.start[0]}.zarr"
        job = self.session.jobs.predict_job(model=model, box=box).model_copy(update={"output": place})
        PredictJob.model_validate(job.model_dump()).run(Console())
        return EvidenceReader.open(place).read(box)

    def score(self, model: Path, box: Box, thresholds: Sequence[float] = ()) -> tuple[Row, Row]:
        """With the recipe's decoder, and with its slider where VOI is least."""
        evidence, settings = self.predicted(model, box), read_model_info(model).plan.decoder
        rows = []
        for changes in ({}, *({"threshold": threshold} for threshold in thresholds)):
            found = DecoderSettings.parse({**settings, **changes}).decode(evidence, self.session.image.space)
            rows.append(figures(found.labels, self.truth[box.slices]))
        return rows[0], min(rows, key=lambda row: row[0] + row[1])

    def scores(self, model: Path) -> tuple[Row, Row, Row]:
        """Of the tested sections, of those with the slider where it is best, and of the first sections."""
        return (*self.score(model, self.tested, THRESHOLDS), self.first(model))

    def first(self, model: Path) -> Row:
        """The score on the first sections, of which all was taught."""
        begin, stop = self.trained.start[0], self.trained.stop[0]
        return self.score(model, self.sections(begin, min(stop, begin + _SHOWN)))[0]

    def proofread(self, parent: Path) -> None:
        """Segment the part that is proofread, and edit it as somebody would who knows the truth."""
        session, proofreader = self.session, self.session.proofreader
        with InlineRunner() as runner:
            prediction = session.jobs.predict_job(model=parent, box=self.corrected)
            session.jobs.run(prediction, runner).wait()
            segment = session.jobs.segment_job(prediction=prediction.output, box=self.corrected)
            session.jobs.run(segment, runner).wait()
        document = proofreader.document
        assert document is not None
        oracle, counts = Oracle(document, self.truth), {"merges": 0, "cuts": 0, "locks": 0}
        before = oracle.voi()
        for _ in range(self.options.cuts):
            found = next(self.cuts(document, oracle), None)
            if found is None:
                break
            proofreader.apply(found)
            oracle.look()
            counts["cuts"] += 1
        queue = proofreader.queue()
        for _ in range(self.options.answers):
            item = queue.next()
            if item is None:
                break
            if len(item.segments) == 2 and oracle.are_one(item.segments):
                edit = queue.accept("merge")
                assert edit is not None
                proofreader.apply(edit)
                counts["merges"] += 1
            else:
                cut = oracle.cut(item.segments[0]) if len(item.segments) == 1 else None
                queue.accept("leave")
                with suppress(InvalidEdit):
                    if cut is not None:
                        proofreader.apply(cut)
                        oracle.look()
                        counts["cuts"] += 1
        for segment_id in self.right_segments(document)[: self.options.locks]:
            proofreader.apply(Lock(segments=(segment_id,)))
            counts["locks"] += 1
        told = ", ".join(f"{n} {what}" for what, n in counts.items())
        print(f"proofread: {told}; VOI of that part {before:.3f} -> {oracle.voi():.3f}", flush=True)
        if not any(counts.values()):
            raise SystemExit("The proofreader found nothing to do: train the parent longer, or give more sections.")

    def cuts(self, document: LabelDocument, oracle: Oracle) -> Iterator[Split]:
        """Cuts of segments that are two neurons, the largest first; those that the document refuses are left out."""
        for segment_id in sorted(document.segment_ids(), key=document.size, reverse=True):
            cut = oracle.cut(int(segment_id), _SECOND_SHARE) if oracle.knows(int(segment_id)) else None
            if cut is not None:
                with suppress(InvalidEdit):
                    cut.plan(document)
                    yield cut

    def right_segments(self, document: LabelDocument) -> list[int]:
        """Segments that are a neuron of the proofread part, the largest first."""
        segments, truth = document.segments(self.corrected), self.truth[self.corrected.slices]
        pairs, n = np.unique(segments.astype(np.int64) * 2**32 + truth, return_counts=True)
        sizes, neurons = (dict(zip(*np.unique(a, return_counts=True), strict=True)) for a in (segments, truth))
        found = []
        for pair, common in zip(pairs.tolist(), n.tolist(), strict=True):
            segment, neuron = divmod(pair, 2**32)
            if segment and neuron and common >= _RIGHT * (sizes[segment] + neurons[neuron] - common):
                found.append((common, segment))
        return [segment for _, segment in sorted(found, reverse=True)]

    def links(self) -> Path:
        """The edits as the project collects them."""
        print(self.session.corrections.collect(), flush=True)
        folder: Path = self.session.corrections.inputs(load_recipe("neurites"))[0]
        for path in sorted(folder.glob("*.zarr")):
            self.tell_wrong(path)
        return folder

    def tell_wrong(self, path: Path) -> None:
        """How often pairs of voxels along x are one object, or two, where corrections say the other."""
        labels = LabelStore.open(path, writable=False).read(self.corrected)
        ids, numbers = np.unique(labels, return_inverse=True)
        numbers, truth = numbers.reshape(labels.shape), self.truth[self.corrected.slices]
        apart = ObjectRelations.load(path).apart(ids.astype(np.int64))
        for step in PAIRS:
            a, b = numbers[..., :-step], numbers[..., step:]
            first, second = truth[..., :-step], truth[..., step:]
            is_one, is_known = first == second, (first > 0) & (second > 0)
            one = (a == b) & (ids[a] != 0) & (ids[a] != OTHER) & (ids[a] != BACKGROUND) & is_known
            two = apart[a, b] & (a != b) & is_known
            print(
                f"pairs {step} voxel(s) apart: {one.sum()} said to be one, {1 - is_one[one].mean():.4f} of them wrong; "
                f"{two.sum()} said to be two, {is_one[two].mean():.4f} of them wrong",
                flush=True,
            )

    def repainted(self) -> Path:
        """The voxels that are of another segment than was decoded, with its id."""
        document = self.session.proofreader.document
        assert document is not None
        segments = document.segments(self.corrected)
        decoded = document.segmentation.segments[document.segmentation.supervoxels.read(self.corrected)]
        labels = np.where(segments != decoded, segments, np.uint32(0))
        folder = self.folder / "repainted"
        store = LabelStore.create(folder / "a.zarr", self.truth.shape, np.uint32, self.session.image.space)
        store.write(self.corrected, labels)
        ObjectRelations(painted=frozenset(np.unique(labels[labels > 0]).tolist())).save(folder / "a.zarr")
        print(f"repainted: {np.count_nonzero(labels)} voxels", flush=True)
        return folder

    def parent(self) -> Path:
        if self.options.model is not None:
            found: Path = self.options.model
            return found
        steps = self.options.parent_steps
        limits = [f"minutes={self.options.parent_minutes}"] if not steps else ["minutes=null", f"steps={steps}"]
        return self.train(load_recipe("neurites", [*limits, *self.options.changes]), "parent")


def run(bench: Bench, options: argparse.Namespace) -> None:
    parent = bench.parent()
    bench.proofread(parent)
    corrections: dict[str, Callable[[], Path] | None] = {
        "none": None,
        "labels": bench.repainted,
        "links": bench.links,
    }
    folders = {name: None if made is None else made() for name, made in corrections.items()}
    plan = bench.session.corrections.plan(parent)
    rows = {"parent": [bench.scores(parent)]}
    for seed, name in turns(options.first_seed, options.seeds):
        limits = ["minutes=null", f"steps={options.steps}", f"seed={seed}"]
        told = plan_from_yaml(plan.model_dump_json(), "neurites", [*limits, *options.changes])
        model = bench.train(told, f"{name}-{seed}", parent, folders[name])
        rows.setdefault(name, []).append(bench.scores(model))
        tell(rows)


def turns(first_seed: int, seeds: int) -> Iterator[tuple[int, str]]:
    """Every variant with every seed; each seed begins with another one."""
    for seed in range(first_seed, first_seed + seeds):
        first = seed % len(VARIANTS)
        yield from ((seed, name) for name in VARIANTS[first:] + VARIANTS[:first])


def tell(rows: dict[str, list[tuple[Row, Row, Row]]]) -> None:
    """Medians over seeds, and every VOI."""
    print(f"\n{'':8} {'split':>6} {'merge':>6} {'VOI':>6} {'aRand':>7} {'slider':>7} {'first':>6}   each VOI; slider's")
    for name, found in rows.items():
        split, merge, error = (median(row[k] for row, _, _ in found) for k in range(3))
        voi, best, first = (median(rows_of[k][0] + rows_of[k][1] for rows_of in found) for k in range(3))
        each = " ".join(f"{row[0] + row[1]:.3f}" for row, _, _ in found)
        slid = " ".join(f"{row[0] + row[1]:.3f}" for _, row, _ in found)
        print(
            f"{name:8} {split:6.3f} {merge:6.3f} {voi:6.3f} {error:7.4f} {best:7.3f} {first:6.3f}   {each}; {slid}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", help="Settings of all trainings, as network.channels=[8,16,32].")
    parser.add_argument("--model", type=Path, help="The parent: a model trained on the first sections alone.")
    parser.add_argument("--parent-minutes", type=float, default=10.0)
    parser.add_argument("--parent-steps", type=int, default=0, help="Instead of the minutes.")
    parser.add_argument("--steps", type=int, default=600, help="Of each training that goes on.")
    parser.add_argument("--answers", type=int, default=300, help="Of the proofreader to the review queue.")
    parser.add_argument("--cuts", type=int, default=40, help="Of the largest segments, before the queue.")
    parser.add_argument("--locks", type=int, default=20, help="Segments that the proofreader locks at the end.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=250, help="Of the sections, in voxels: less is quicker.")
    parser.add_argument(
        "--sections",
        type=lambda text: [tuple(map(int, part.split("-"))) for part in text.split(",")],
        default=[(0, 70), (70, 110), (110, 170)],
        metavar="A-B,C-D,E-F",
        help="Which are trained on, proofread and tested.",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options)
        try:
            run(bench, options)
        finally:
            bench.session.close()


if __name__ == "__main__":
    main()
