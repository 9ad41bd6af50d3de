"""What tuning gains on neurites: trials on one part of the medulla, scored on another.

Run ``python benchmarks/tuning.py --prediction FOLDER.zarr [--trials 40]``, or ``--model FOLDER`` to predict first, or
neither to train first (``--minutes``). The network learns sections 0 to 109, as in ``segmentation_quality.py``, whose
``--keep FOLDER`` leaves a model and a prediction. ``--instant`` takes an instant model of membranes between the
neurons instead, which is there in a minute. The decoder's settings are tuned on sections 110 to 133; default and
best settings are then scored on sections 134 to 169, whose truth neither network nor tuning has seen, decoded by
themselves in one piece: variation of information over every voxel, adapted Rand error without truth 0.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from dense_models import Console, predict, train_on
from segmentation_quality import SPACE, TESTED, TRAINED, figures
from simulated_annotator import DATA

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.decoding import DecoderSettings
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.geometry import Box
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.metrics.boundaries import boundaries
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import ModelOutput, TrainJob, VolumeInputs
from napari_pytc.tuning.describe import TuneRequest, describe_tuning
from napari_pytc.tuning.records import TuningRecord, read_record
from napari_pytc.tuning.search_space import regrouping_settings
from napari_pytc.tuning.truth import LabelTruth
from napari_pytc.volumes.opening import open_labels
from napari_pytc.volumes.spec import NpySpec

TUNED, SCORED = (110, 134), (134, 170)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="A trained model's folder.")
    parser.add_argument("--prediction", type=Path, help="Its prediction of sections 110 to 169, an OME-Zarr.")
    parser.add_argument("--instant", action="store_true", help="Train an instant model of membranes.")
    parser.add_argument("--keep", type=Path, help="Keep model and prediction in this folder, which is new.")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1, help="So many tunings, each with another seed.")
    parser.add_argument("--minutes", type=float, default=25.0, help="Of training, where no model is given.")
    options = parser.parse_args()
    with h5py.File(DATA / "medulla.h5") as file:
        raw, neurons = file["raw"][:], file["neurons"][:]
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        prediction = options.prediction
        if prediction is None:
            model = options.model
            if model is None and options.instant:
                model = instant_model(raw[TRAINED], neurons[TRAINED], folder)
            elif model is None:
                plan = load_recipe("neurites", [f"minutes={options.minutes}"])
                model = train_on(raw[TRAINED], neurons[TRAINED], "neuron", SPACE, plan, folder)
            tested = Box((TESTED.start, 0, 0), (TESTED.stop, *raw.shape[1:]))
            prediction = predict(raw, SPACE, tested, model, folder, False)
        found = [tuned(prediction, folder, options.trials, seed) for seed in range(options.seeds)]
        print(f"\n{'':28} {'split':>6} {'merge':>6} {'VOI':>6} {'aRand':>7}")
        reader = EvidenceReader.open(prediction)
        for record in found:
            for title, trial in (("default", record.default), ("best trial", record.best)):
                for sections in (TUNED, SCORED):
                    split, merge, arand = scored(reader, trial.decoder, sections, neurons)
                    name = f"{title}, {sections[0]} to {sections[1] - 1}"
                    print(f"{name:28} {split:6.3f} {merge:6.3f} {split + merge:6.3f} {arand:7.4f}", flush=True)
            print(f"best trial {record.best.number}: {record.best.decoder}")
            print_times(record)


def instant_model(raw: np.ndarray, neurons: np.ndarray, folder: Path) -> Path:
    """An instant model of membranes, where neurons touch, and insides, learnt from a hundredth of all voxels."""
    edge = boundaries(neurons)
    classes = np.where(edge | (neurons == 0), 1, 2).astype(np.uint8)
    classes[np.random.default_rng(0).random(classes.shape) > 0.01] = 0
    np.save(folder / "trained.npy", raw)
    store = PaintStore.create(folder / "annotations.zarr", raw.shape, SPACE)
    store.write(Box.of_shape(raw.shape), classes)
    volume = NpySpec(path=folder / "trained.npy", voxel_size_nm=SPACE.voxel_size_nm)
    job = TrainJob(
        inputs=(VolumeInputs(volume=volume, space=SPACE, annotations=store.folder),),
        classes=("membrane", "inside"),
        plan=load_recipe("instant", []),
        output=ModelOutput(model_folder=folder / "model", run_folder=folder / "run"),
        resume=False,
    )
    job.run(Console())
    return job.output.model_folder


def tuned(prediction: Path, folder: Path, n_trials: int, seed: int) -> TuningRecord:
    """A tuning on the sections that are for it."""
    truth = LabelTruth(labels=open_labels(f"{DATA / 'medulla.h5'}:neurons").spec)
    box = Box((TUNED[0], 0, 0), (TUNED[1], *EvidenceReader.open(prediction).shape[1:]))
    request = TuneRequest(trials=n_trials, box=box, seed=seed, score="voi")
    job = describe_tuning(prediction, folder / "tuning", truth, request)
    begin = time.perf_counter()
    with InlineRunner() as runner:
        end: Any = runner.start(job, lambda event: None).wait()
    print(f"{n_trials} trials with seed {seed} in {time.perf_counter() - begin:.0f} s; {end.event}", flush=True)
    return read_record(job.output)


def scored(
    reader: EvidenceReader, settings: dict[str, Any], sections: tuple[int, int], neurons: np.ndarray
) -> tuple[float, float, float]:
    """Split, merge and adapted Rand error of some sections, decoded by themselves."""
    box = Box((sections[0], 0, 0), (sections[1], *reader.shape[1:]))
    labels = DecoderSettings.parse(settings).decode(reader.read(box), SPACE).labels
    return figures(labels, neurons[box.slices])


def print_times(record: TuningRecord) -> None:
    """Seconds of trials that made supervoxels, and of those that only grouped them."""
    seen: set[str] = set()
    made, grouped = [], []
    for trial in record.trials:
        decoder = DecoderSettings.parse(trial.decoder)
        key = decoder.model_dump_json(exclude=regrouping_settings(type(decoder)))
        (grouped if key in seen else made).append(trial.seconds)
        seen.add(key)
    print(f"trials that made supervoxels: {len(made)}, median {statistics.median(made):.2f} s", end="")
    print(f"; that only grouped them: {len(grouped)}, median {1000 * statistics.median(grouped or [0]):.0f} ms")


if __name__ == "__main__":
    main()
