"""Records in Weights & Biases: sent where the user is logged in, else kept in files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.files import temporary_beside
from napari_pytc.learning.tracking.tracker import TrackedTraining, TrackerError, TrainingOutcome
from napari_pytc.plans.tracking import WandbSettings

_NOTE = "run.json"
_EXIT_CODES = {"finished": 0, "failed": 1, "stopped": 255}
_SYNC = "To send it later: wandb login, then wandb sync {folder}/offline-run-*"


class WandbTracker:
    """A training as a run of Weights & Biases: curves, pictures, and settings and provenance as its config.

    Neither host name, user, paths, command line, code, git, nor packages beyond the provenance are recorded. Steps of
    a training that goes on were recorded before as far as the note says, and are not recorded again.

    Parameters
    ----------
    run : wandb.Run
        The run that was begun.
    note : RunNote
        Its id and the last recorded step.
    """

    def __init__(self, run: Any, note: RunNote, training: TrackedTraining, patience_s: float) -> None:
        self._run, self._note, self._training, self._patience_s = run, note, training, patience_s

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        if step > self._note.last_step_before:
            self._run.log(dict(values), step=step)
            self._note.save(step)

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        import wandb

        if step > self._note.last_step_before:
            self._run.log({f"patches/{title}": wandb.Image(one) for title, one in pictures.items()}, step=step)

    def finish(self, outcome: TrainingOutcome) -> None:
        """See `Tracker`."""
        try:
            self._run.summary.update({name.replace("/", "_"): value for name, value in outcome.summary.items()})
            self._run.finish(exit_code=_EXIT_CODES[outcome.state])
        except TimeoutError as error:
            raise TrackerError(
                f"not everything was sent within {self._patience_s:g} s.",
                f"It is on the disk; send the rest: wandb sync {self._training.folder}/run-*",
            ) from error
        finally:
            _free()


class RunNote:
    """The id of the run of a training, and its last recorded step, in a small file of the training's folder.

    Parameters
    ----------
    folder : Path
        Of the training.
    first_step : int
        Steps that the training has done. Where it begins anew after something was recorded, the run is another one:
        Weights & Biases takes no step back.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._path = folder / _NOTE
        self.id, self.last_step_before = uuid.uuid4().hex[:12], -1
        self.goes_on = False
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
            if first_step > 0:
                self.id, self.last_step_before = str(known["id"]), int(known["last_step"])
                self.goes_on = True
        except (OSError, ValueError, KeyError, TypeError):  # a new training, or a damaged note: a run of its own
            pass

    def save(self, step: int) -> None:
        """Write down that a step is recorded."""
        aside = temporary_beside(self._path)  # not forced to the disk, which would take longer than a step
        aside.write_text(json.dumps({"id": self.id, "last_step": step}), encoding="utf-8")
        os.replace(aside, self._path)


def open_wandb(settings: WandbSettings, training: TrackedTraining) -> WandbTracker:
    """Open the record of a training: online where there is a key and the server answers, else in files.

    Raises
    ------
    TrackerError
        If wandb is switched off by ``WANDB_MODE=disabled``.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # reports of faults would go to its makers
    import wandb

    if os.environ.get("WANDB_MODE") == "disabled":
        raise TrackerError("WANDB_MODE=disabled switches it off.", "Unset it to record.")
    note = RunNote(training.folder, training.first_step)
    reason = "" if settings.mode == "auto" else "as mode=offline says"
    try:
        wandb.setup(wandb.Settings(silent=True))
        if not reason:
            reason = _why_offline()
        run = None
        if not reason:
            try:
                run = _begin(settings, training, note, "online")
            except Exception as error:  # no network, a key that is refused, a server that is down: files serve as well
                reason = f"because the server cannot be reached or refused it ({_one_line(error)})"
        if run is None:
            run = _begin(settings, training, note, "offline")
    except BaseException:
        _free()
        raise
    note.save(note.last_step_before)
    if reason:
        training.tell(
            f"Weights & Biases keeps this training in files, {reason}: {training.folder}. "
            + _SYNC.format(folder=training.folder)
        )
    else:
        training.tell(f"Weights & Biases records this training at {run.url}.")
    return WandbTracker(run, note, training, settings.patience_s)


def _why_offline() -> str:
    """Why a run cannot be sent, as a part of a sentence; empty if it can. Never asks anybody."""
    import wandb

    if os.environ.get("WANDB_MODE") in ("offline", "dryrun"):
        return f"as WANDB_MODE={os.environ['WANDB_MODE']} says"
    try:
        return "" if wandb.login(prompt=False) else "because nobody is logged in"
    except Exception as error:  # a key of a wrong form or that is refused, no network, a server that is down
        return f"because the key cannot be used or the server cannot be reached ({_one_line(error)})"


def _begin(settings: WandbSettings, training: TrackedTraining, note: RunNote, mode: str) -> Any:
    import wandb

    # One that is not known to another version of wandb is an error, not left out: more would be recorded then.
    private = {
        "console": "off",
        "silent": True,
        "host": "",
        "disable_code": True,
        "save_code": False,
        "disable_git": True,
        "disable_job_creation": True,
        "label_disable": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_disable_machine_info": True,
        "x_save_requirements": False,
        "program": "napari-pytc",
        "program_relpath": "napari-pytc",
        "symlink": False,
    }
    return wandb.init(
        dir=str(training.folder.parent),  # wandb makes the folder "wandb" in it, which is the training's
        id=note.id,
        resume="allow" if note.goes_on else None,
        project=settings.project,
        entity=settings.entity,
        name=settings.name or training.name,
        tags=list(settings.tags),
        config={"settings": training.settings, "provenance": training.provenance},
        mode=mode,  # type: ignore[arg-type, unused-ignore]
        reinit="create_new",
        settings=wandb.Settings(
            init_timeout=settings.patience_s,
            finish_timeout=settings.patience_s,
            finish_timeout_raises=True,
            **private,
        ),
    )


def _free() -> None:
    """End the process that wandb starts beside this one, unless another run of this process uses it."""
    import wandb

    if wandb.run is None:
        wandb.teardown()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
