"""What trainings read of the volumes of a project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.plans.input_channels import check_n_inputs, check_same_channels
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.session.corrections import Corrections
from napari_pytc.session.project.description import VolumeRecord
from napari_pytc.session.project.state import ProjectState
from napari_pytc.session.runs.training_runs import Revisions
from napari_pytc.session.volumes.open_volumes import OpenVolumes

if TYPE_CHECKING:
    from napari_pytc.plans.specs import VolumeInputs
    from napari_pytc.plans.targets.base import Target


class TrainingInputs:
    """What trainings and Live read of the volumes of a project: which are annotated, and how each is described."""

    def __init__(self, state: ProjectState, opened: OpenVolumes) -> None:
        self._state, self._opened = state, opened

    def painted(self) -> list[VolumeRecord]:
        """The volumes with strokes."""
        return [
            record for record in self._state.description.volumes if self._opened.get(record.id).strokes.store.chunks()
        ]

    def painted_beside(self, id: str) -> tuple[list[VolumeInputs], list[PytcError]]:
        """What is read of the other volumes with strokes, and the error of each that cannot be used.

        Parameters
        ----------
        id : str
            The volume that is not among them.
        """
        found, problems = [], []
        for record in self._state.description.volumes:
            if record.id == id:
                continue
            try:
                is_painted = bool(self._opened.get(record.id).strokes.store.chunks())
            except PytcError as error:
                problems.append(
                    type(error)(f"The strokes of {record.name} cannot be read. {error.message}", error.hint)
                )
                continue
            try:
                found += [self.of(record.id)] if is_painted else []
            except PytcError as error:
                problems.append(error)
        return found, problems

    def with_objects(self) -> list[VolumeRecord]:
        """The volumes with object labels."""
        return [record for record in self._state.description.volumes if self._opened.get(record.id).objects.n_chunks]

    def corrected(self, names: Sequence[str] | None = None) -> list[VolumeRecord]:
        """The volumes of these names, by default all, at which `Corrections.collect` found something to learn from."""
        return [record for record in self._named(names) if self.corrections(record.id).info().n_voxels]

    def corrections(self, id: str) -> Corrections:
        """The corrections of a volume."""
        return self._opened.get(id).corrections

    def corrections_beside(self, id: str) -> list[Corrections]:
        """The corrections of all volumes but one."""
        return [self.corrections(record.id) for record in self._state.description.volumes if record.id != id]

    def _named(self, names: Sequence[str] | None) -> list[VolumeRecord]:
        if names is None:
            return list(self._state.description.volumes)
        return list({record.id: record for record in map(self._state.description.resolve, names)}.values())

    def to_learn_from(self, target: Target, names: Sequence[str] | None = None) -> list[VolumeRecord]:
        """The volumes of these names, each once; without names, all with annotations that a target is learnt from."""
        if names is not None:
            return self._named(names)
        wanted = [
            *(self.painted() if target.learns_classes else []),
            *(self.with_objects() if target.learns_objects else []),
        ]
        return [record for record in self._state.description.volumes if record in wanted]

    def of(self, id: str) -> VolumeInputs:
        """What a training reads of a volume; the image is checked.

        Raises
        ------
        VolumeError
            If the image moved or changed.
        """
        from napari_pytc.plans.specs import VolumeInputs

        parts = self._opened.get(id)
        record, objects = parts.state.record, parts.state.folder.objects
        try:
            parts.image.check()
        except VolumeError as error:
            raise VolumeError(f"The image of {record.name} cannot be used. {error.message}", error.hint) from error
        return VolumeInputs(
            name=record.name,
            volume=record.spec,
            digest=record.fingerprint.digest,
            space=record.space,
            annotations=parts.strokes.store.folder,
            objects=objects if objects.is_dir() else None,
            held_out=record.held_out,
        )

    def check_channels(self, records: Sequence[VolumeRecord], parent: Path | None) -> None:
        """Refuse volumes whose images have another number of channels than the first, or than a parent model.

        Raises
        ------
        ModelError
            Naming the volumes.
        """
        counts = [(f"the volume {one.name!r}", self._opened.get(one.id).image.source.n_channels) for one in records]
        check_same_channels(counts)
        if parent is not None:
            check_n_inputs(read_model_info(parent), counts[0][1], f"the image of {records[0].name}")

    def ids_of(self, inputs: Sequence[VolumeInputs]) -> list[str]:
        """The id of the volume that each of these inputs is of; empty for one that is none of the project's."""
        ids = {
            self._state.folder.volume(record.id, self._state.description.is_moving).annotations(record): record.id
            for record in self._state.description.volumes
        }
        return [ids.get(one.annotations, "") for one in inputs]

    def revisions(self, inputs: VolumeInputs) -> Revisions:
        """The present state of what a training reads of a volume."""
        (id,) = self.ids_of([inputs])
        if not id:
            return Revisions(inputs.digest or "", 0)
        parts = self._opened.get(id)
        corrected = "" if inputs.corrections is None else parts.corrections.revision
        return Revisions(parts.state.image_digest, parts.strokes.store.revision, parts.objects.revision, corrected)

    def present_inputs(self, ids: Sequence[str], inputs: Sequence[VolumeInputs]) -> tuple[VolumeInputs, ...] | None:
        """Inputs of an earlier training, with the paths of now.

        Parameters
        ----------
        ids : sequence of str
            The volumes that they are of.

        Returns
        -------
        tuple of VolumeInputs or None
            None where a volume was removed, or has other held-out boxes than then.
        """
        known = {record.id: record for record in self._state.description.volumes}
        if len(ids) != len(inputs) or not all(id in known for id in ids):
            return None
        found = []
        for id, one in zip(ids, inputs, strict=True):
            record, folder = known[id], self._state.folder.volume(id, self._state.description.is_moving)
            if record.held_out != one.held_out:
                return None
            now = {
                "name": record.name,
                "volume": record.spec,
                "digest": record.fingerprint.digest,
                "annotations": folder.annotations(record),
                "objects": folder.objects if folder.objects.is_dir() else None,
                "corrections": folder.corrections if one.corrections is not None else None,
            }
            found.append(one.model_copy(update=now))
        return tuple(found)
