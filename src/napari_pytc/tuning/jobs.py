"""The spec of a tuning."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

import napari_pytc.decoding  # noqa: F401  (registers the decoders)
from napari_pytc.decoding.base import AnyDecoder
from napari_pytc.decoding.evidence import EvidenceReader, MaskSettings
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.tuning.scores import ScoreName
from napari_pytc.tuning.search_space import DecoderSpace
from napari_pytc.tuning.truth import AnyTruth


class TuneJob(JobSpec):
    """Find the settings of decoders that score best on truth.

    The result has ``tuning``, ``file``, ``score``, ``n_trials``, ``best`` and ``default`` (`TunedTrial`), ``stopped``
    (``"trials"`` or ``"timeout"``) and ``notes``.
    """

    runs: ClassVar[str] = "napari_pytc.tuning.study:run"
    kind: Literal["tune"] = "tune"
    prediction: Path = Field(description="The OME-Zarr (c, z, y, x) of probabilities.")
    stamp: str = Field("", description="Differs after the prediction, or that of the mask, was continued or changed.")
    predicted: Box | None = Field(None, description="What was predicted; all of it by default.")
    boundary_class: str | None = Field(None, description="The class that stands for the boundary, if no channel does.")
    mask: MaskSettings | None = Field(None, description="The class that restricts the objects.")
    voxel_size_nm: tuple[float, float, float] | None = Field(None, description="Instead of the prediction's own.")
    truth: AnyTruth
    truth_name: str = Field("", description="The truth in words.")
    box: Box | None = Field(None, description="Score in this box only; by default wherever there is truth.")
    default: AnyDecoder = Field(description="Today's default settings, which are trial 0.")
    spaces: tuple[DecoderSpace, ...] = Field(min_length=1, description="The decoders and what of them is tried.")
    score: ScoreName | Literal["auto"] = Field(
        "auto", description="What is improved; auto: AP50 where objects lie apart in background, else VOI."
    )
    seed: int = Field(0, ge=0, description="Decides what is tried.")
    trials: int = Field(40, ge=1, description="Trials in all, with those of earlier runs.")
    timeout_s: float | None = Field(None, gt=0, description="End this run after so many seconds.")
    output: Path = Field(description="The record, a JSON file; the study lies beside it.")
    notes: tuple[str, ...] = Field((), description="What is told of the job beforehand, as sentences.")

    @property
    def study(self) -> Path:
        """The SQLite file with the trials."""
        return self.output.with_suffix(".sqlite")

    def options(self) -> dict[str, Any]:
        """Boundary class and mask as `Jobs.segment_job` takes them."""
        found: dict[str, Any] = {} if self.boundary_class is None else {"boundary_class": self.boundary_class}
        if self.mask is not None:
            found |= {"mask_class": self.mask.name, "mask_mode": self.mask.mode}
            if self.mask.prediction != self.prediction:
                found["mask_prediction"] = str(self.mask.prediction)
        return found

    def reader(self) -> EvidenceReader:
        """The opened prediction; errors as of `EvidenceReader.open`."""
        reader = EvidenceReader.open(self.prediction, self.boundary_class, self.mask)
        if self.voxel_size_nm is not None:
            reader.space = VoxelSpace(self.voxel_size_nm, reader.space.origin_nm)
        return reader

    def work_digest(self) -> str:
        """Digest of all that decides what a trial scores and which are tried; not of how many there are."""
        left_out = {"output", "trials", "timeout_s", "notes", "truth_name", "prediction"}
        content = self.model_dump_json(exclude=left_out)
        return hashlib.sha256(f"{self.prediction.name} {content}".encode()).hexdigest()
