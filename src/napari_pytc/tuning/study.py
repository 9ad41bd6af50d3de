"""The study of a tuning: trials chosen by optuna, kept in an SQLite file, and the record that shows them.

The file holds one study for each state of the truth: labels that were edited in place begin anew.

What holds: a trial is decided by the seed and by the trials that ended before it, so a study that was stopped and taken
up again tries what it would have tried in one go. A trial is drawn in memory and put on the disk in one step, when it
is over and before the next begins: a kill loses the one in flight, which is tried again. One process works on a study
at a time.

Source of the sampler: Bergstra et al., "Algorithms for hyper-parameter optimization" (2011), in optuna's multivariate
form.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.notes import unused_channels
from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.jobs.context import JobContext
from napari_pytc.tuning.jobs import TuneJob
from napari_pytc.tuning.records import TunedTrial, TuningRecord, write_record
from napari_pytc.tuning.regions import (
    EvidenceStore,
    TruthRegion,
    background_share,
    check_memory,
    memory_budget,
    prediction_notes,
    read_regions,
    scored_boxes,
    truth_digest,
    truth_notes,
)
from napari_pytc.tuning.scores import APART, LOWER_IS_BETTER, SCORE_TITLES, ScoreName, is_better
from napari_pytc.tuning.search_space import DecoderSpace, TunedSetting, regrouping_settings
from napari_pytc.tuning.trial_scoring import TrialScorer

if TYPE_CHECKING:
    import optuna

_N_RANDOM = 8
"""Trials after the default one that are drawn at random, before the sampler has something to go by."""
_CONTENT, _CHOICE = "napari_pytc", "decoder"
_N_DIGITS = 10
"""Digits of the digest of the truth in the name of a study."""
_KEPT_SHARE = 0.3
"""Part of the memory of a tuning for evidence that is kept between trials."""


def run(job: TuneJob, ctx: JobContext) -> dict[str, Any]:
    """Tune decoders, going on with the study of an earlier run.

    Raises
    ------
    InvalidInput
        If truth and prediction have nothing in common, optuna is not installed, or another process works on the study.
    OutOfMemory
        If the truth is too large to be decoded in one piece.
    """
    _require_optuna()
    job.output.parent.mkdir(parents=True, exist_ok=True)
    with _locked(job), warnings.catch_warnings():
        # Libraries' own: SQLAlchemy speaks to programmers, optuna calls its samplers experimental.
        for module in ("optuna", "sqlalchemy", "alembic"):
            warnings.filterwarnings("ignore", module=module)
        _quieten()
        return _Tuning(job, ctx).run()


class _Tuning:
    """A run of a tuning."""

    def __init__(self, job: TuneJob, ctx: JobContext) -> None:
        self.job, self.ctx = job, ctx
        self.notes: list[str] = []
        reader = job.reader()
        truth = job.truth.open(reader.shape, reader.space)
        self._note([*job.notes, *truth.notes, *unused_channels(reader.kind.unused)])
        decoders = [job.default, *(space.decoder({}) for space in job.spaces)]
        for decoder in decoders:
            decoder.check(reader.kind)
        boxes, budget = scored_boxes(truth, reader.shape, job.predicted, job.box), memory_budget()
        check_memory(boxes, decoders, reader, budget)
        ctx.report(0, job.trials, "reading the truth")
        self.regions: list[TruthRegion] = read_regions(boxes, decoders, reader, truth)
        self._note(truth_notes(self.regions))
        ctx.check()
        ctx.report(0, job.trials, "reading the prediction")
        evidence = EvidenceStore(reader, budget * _KEPT_SHARE)
        self._note(prediction_notes(self.regions, evidence))
        self.score: ScoreName = self._chosen_score()
        self.scorer = TrialScorer(self.regions, evidence, reader.space, reader.shape, ctx.check)
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self.trials: list[TunedTrial] = []

    def run(self) -> dict[str, Any]:
        """Do the trials that are left, and return the result."""
        begin, stopped = time.monotonic(), "trials"
        with _opened_study(self.job, truth_digest(self.regions), self.score, self.created) as (stored, n_elsewhere):
            if n_elsewhere:
                self._note([f"{n_elsewhere} trials on other truth, from before the labels changed, are left out."])
            self.created = stored.user_attrs["created"]
            self.trials = _ended_trials(stored)
            study = _in_memory(stored)
            self._write()
            for number, trial in enumerate(self.trials):
                self._tell(number, trial)
            while len(self.trials) < self.job.trials:
                self.ctx.check()
                if self.job.timeout_s is not None and time.monotonic() - begin > self.job.timeout_s and self.trials:
                    stopped = "timeout"
                    break
                self.ctx.report(len(self.trials), self.job.trials, f"trial {len(self.trials)}")
                self._try(study)
                stored.add_trial(study.get_trials(deepcopy=False)[-1])
                self._show()
        record = self._write()
        self.ctx.report(len(self.trials), self.job.trials, "done")
        return {
            "tuning": record.id,
            "file": str(self.job.output),
            "score": self.score,
            "n_trials": len(record.trials),
            "best": record.best.model_dump(mode="json"),
            "default": record.default.model_dump(mode="json"),
            "stopped": stopped,
            "notes": self.notes,
        }

    def _try(self, study: optuna.Study) -> None:
        import optuna

        number = len(self.trials)
        study.sampler = _sampler(self.job.seed, number, self._kept_supervoxels(number))
        if number == 0:
            space = next((space for space in self.job.spaces if space.values_of(self.job.default) is not None), None)
            if space is not None:
                study.enqueue_trial(_parameters(self.job, space, space.values_of(self.job.default) or {}))
            trial = study.ask()
            if space is not None:
                _drawn(trial, self.job)  # so that the sampler knows them, rounded or not
            decoder = self.job.default
        else:
            trial = study.ask()
            decoder = _drawn(trial, self.job)
        begin = time.perf_counter()
        content: dict[str, Any] = {"decoder": decoder.model_dump(mode="json")}
        try:
            scores = self.scorer.score(decoder)
        except (PytcError, ValueError) as error:
            if number == 0:
                raise
            ended = TunedTrial(number=number, score=None, problem=str(error), **content)
        else:
            content |= {"scores": scores.document(), "seconds": round(time.perf_counter() - begin, 4)}
            ended = TunedTrial(number=number, score=scores.value(self.score), **content)
        trial.set_user_attr(_CONTENT, ended.model_dump_json())
        if ended.score is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, ended.score)
        self.trials.append(ended)

    def _kept_supervoxels(self, number: int) -> dict[str, Any]:
        """What a trial keeps of the best one: every second groups its supervoxels anew, which takes milliseconds.

        Drawn freely, no two trials would have the same supervoxels.
        """
        known = [trial for trial in self.trials if trial.score is not None]
        if number % 2 == 0 or not known:
            return {}
        is_least = self.score in LOWER_IS_BETTER
        best = min(known, key=lambda trial: (trial.score or 0.0) * (1 if is_least else -1))
        space = next((space for space in self.job.spaces if space.kind == best.decoder["kind"]), None)
        values = None if space is None else space.values_of(space.decoder(best.decoder))
        if space is None or values is None:
            return {}
        regrouping = regrouping_settings(type(space.decoder({})))
        if not regrouping & set(values):
            return {}
        return _parameters(self.job, space, {name: one for name, one in values.items() if name not in regrouping})

    def _show(self) -> None:
        """Write the record, and report the newest trial."""
        self._write()
        self._tell(len(self.trials) - 1, self.trials[-1])

    def _tell(self, number: int, trial: TunedTrial) -> None:
        """Report a trial; the record is on the disk."""
        if trial.score is None:
            return
        self.ctx.metric("score", number, trial.score)
        known = [one.score for one in self.trials[: number + 1] if one.score is not None]
        self.ctx.metric("best", number, min(known) if self.score in LOWER_IS_BETTER else max(known))

    def _write(self) -> TuningRecord:
        job = self.job
        record = TuningRecord(
            id=job.output.stem,
            created=self.created,
            prediction=str(job.prediction),
            options=job.options(),
            truth=job.truth_name or job.truth.kind,
            boxes=tuple(str(region.box) for region in self.regions),
            score=self.score,
            seed=job.seed,
            tuned={space.kind: tuple(one.name for one in space.tuned) for space in job.spaces},
            trials=tuple(self.trials),
            notes=tuple(self.notes),
        )
        write_record(job.output, record)
        return record

    def _chosen_score(self) -> ScoreName:
        if self.job.score != "auto":
            return self.job.score
        share = background_share(self.regions)
        score: ScoreName = "ap50" if share >= APART else "voi"
        why = f"{share:.0%} of the truth is background, " + (
            "so objects lie apart" if share >= APART else "so objects fill the tissue"
        )
        self._note([f"The score is the {SCORE_TITLES[score]}: {why}."])
        return score

    def _note(self, sentences: list[str]) -> None:
        for sentence in sentences:
            self.notes.append(sentence)
            self.ctx.warn(sentence)


def improvement(record: TuningRecord) -> str:
    """What a tuning gained, as a sentence."""
    best, default = record.best, record.default
    title = SCORE_TITLES[record.score]
    if best.score is None or default.score is None:
        return "No trial could be scored."
    if not is_better(record.score, best.score, default.score):
        return (
            f"No settings among {len(record.trials)} trials score better than today's default ones: {title} "
            f"{default.score:.3f}."
        )
    return f"{title[0].upper()}{title[1:]}: {best.score:.3f} with trial {best.number}, {default.score:.3f} by default."


def _drawn(trial: optuna.Trial, job: TuneJob) -> DecoderSettings:
    """The decoder that the sampler draws."""
    kinds = [space.kind for space in job.spaces]
    kind = trial.suggest_categorical(_CHOICE, kinds) if len(kinds) > 1 else kinds[0]
    space = job.spaces[kinds.index(str(kind))]
    values = {one.name: one.value(_suggested(trial, space.kind, one)) for one in space.tuned}
    return space.decoder(values)


def _suggested(trial: optuna.Trial, kind: str, tuned: TunedSetting) -> Any:
    name = f"{kind}.{tuned.name}"
    if tuned.choices:
        return trial.suggest_categorical(name, list(tuned.choices))
    if tuned.is_whole:
        return trial.suggest_int(name, round(tuned.low), round(tuned.high), log=tuned.is_logarithmic)
    return trial.suggest_float(name, tuned.low, tuned.high, log=tuned.is_logarithmic)


def _parameters(job: TuneJob, space: DecoderSpace, values: dict[str, Any]) -> dict[str, Any]:
    """Values as the sampler calls them."""
    chosen = {_CHOICE: space.kind} if len(job.spaces) > 1 else {}
    return chosen | {f"{space.kind}.{name}": value for name, value in values.items()}


def _sampler(seed: int, number: int, kept: dict[str, Any]) -> optuna.samplers.BaseSampler:
    """The sampler of a trial: its random numbers depend on the seed and the number of trials before.

    Parameters
    ----------
    kept : dict
        Parameters that are not drawn, with their values.
    """
    import optuna

    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(n_startup_trials=_N_RANDOM, multivariate=True, group=True, seed=drawn)
    return optuna.samplers.PartialFixedSampler(kept, sampler) if kept else sampler


@contextmanager
def _opened_study(job: TuneJob, truth: str, score: ScoreName, created: str) -> Iterator[tuple[optuna.Study, int]]:
    """The study of a job and its truth on the disk, made where there is none, and the number of trials on other truth.

    Parameters
    ----------
    truth : str
        Digest of the truth that was read: the job knows a file of labels by a few blocks only.
    """
    import optuna
    from sqlalchemy import URL
    from sqlalchemy.exc import SQLAlchemyError

    storage = None
    try:
        # As a URL, in which ?, % and the braces that optuna would fill in are escaped.
        url = URL.create("sqlite", database=job.study.as_posix())
        storage = optuna.storages.RDBStorage(url.render_as_string(hide_password=False))
        is_least = score in LOWER_IS_BETTER
        direction = optuna.study.StudyDirection.MINIMIZE if is_least else optuna.study.StudyDirection.MAXIMIZE
        name, work = f"{job.output.stem}-{truth[:_N_DIGITS]}", job.work_digest()
        known = optuna.get_all_study_summaries(storage, include_best_trial=False)
        if any(one.user_attrs.get("work", work) != work for one in known):
            raise InvalidInput(
                f"The study {job.study.name} was made with another prediction, truth, score or search.",
                "Choose another output.",
            )
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
        if "work" not in study.user_attrs:
            study.set_user_attr("created", created)
            study.set_user_attr("work", work)
        yield study, sum(one.n_trials for one in known if one.study_name != name)
    except (SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise ProjectError(
            f"The study {job.study} cannot be read or written: {str(error).splitlines()[0].rstrip('.')}.",
            "Check that the disk is not full; a damaged study can be deleted, with its trials.",
        ) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _in_memory(stored: optuna.Study) -> optuna.Study:
    """A copy of a study in which trials are drawn, without a disk access for each of their numbers."""
    import optuna

    study = optuna.create_study(direction=stored.direction)
    study.add_trials(stored.get_trials(deepcopy=False))
    return study


def _ended_trials(study: optuna.Study) -> list[TunedTrial]:
    """The trials that ended."""
    trials = study.get_trials(deepcopy=False)
    return [TunedTrial.model_validate_json(trial.user_attrs[_CONTENT]) for trial in trials]


@contextmanager
def _locked(job: TuneJob) -> Iterator[None]:
    lock = FileLock(job.output.with_suffix(".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InvalidInput(
            f"The tuning {job.output.stem} runs already, in another process.", "Let it end, or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _require_optuna() -> None:
    """Refuse to tune where optuna is not installed."""
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise InvalidInput(
            "Tuning needs the package optuna, which is not installed.", 'Install it: pip install "napari-pytc[tune]".'
        )


def _quieten() -> None:
    """Keep optuna's log, a line a trial, and its remarks on samplers away from the terminal."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
