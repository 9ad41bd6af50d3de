"""Descriptions of exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.files import plain_path
from napari_pytc.session.jobs.base import VolumeJobs
from napari_pytc.session.records import PredictionRecord
from napari_pytc.volumes.image import chosen_channels

if TYPE_CHECKING:
    from napari_pytc.exporting.jobs import ExportJob
    from napari_pytc.exporting.options import What
    from napari_pytc.session.runs.export_preview import ExportPreview
    from napari_pytc.volumes.spec import ChannelChoice


class ExportJobs(VolumeJobs):
    """Exports of what a volume has."""

    def export_job(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        segmentation: str | None = None,
        channel: ChannelChoice = None,
        **options: Any,
    ) -> ExportJob:
        """Describe an export of a prediction, by default the newest that is finished, a segmentation or the image.

        `segmentation` is the current one by default, `channel` all channels that the image has in the project; numbers
        are those of the file. `options` are other fields of `ExportJob`: box, format, dataset,
        compression, pyramid and so on.
        """
        from napari_pytc.exporting.jobs import ExportJob
        from napari_pytc.exporting.options import OF_SEGMENTS

        source: dict[str, Any]
        if what in OF_SEGMENTS:
            source = {"segmentation": self._segmentations.resolve(segmentation)}
        elif what == "image":
            spec = chosen_channels(self._image.check(), channel).spec
            source = {"image": spec, "space": self._volume.record.space}
        else:
            source = {"prediction": self._predictions.resolve(prediction)}
        if what == "classes":
            source["class_colours"] = {c.name: c.colour for c in self._state.description.classes}
            options.setdefault("class_names", self._state.description.class_names)
        try:
            return ExportJob(what=what, output=plain_path(path), **source, **options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"An export has no such option: {where}: {first['msg']}.") from error

    def preview_export(
        self,
        what: What,
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        segmentation: str | None = None,
        channel: ChannelChoice = None,
        **options: Any,
    ) -> ExportPreview:
        """Preview the files of an export; parameters and errors as in `export_job`."""
        from napari_pytc.session.runs.export_preview import preview

        return preview(self.export_job(what, path, prediction, segmentation, channel, **options))
