"""Places of a volume's parts, also in projects that have them at the top."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.session.project.volume_folder import VolumeFolder


def test_everything_of_a_volume_lies_in_its_folder(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path / "v1")
    assert folder.annotations() == tmp_path / "v1" / "annotations.zarr"
    places = (folder.own_image, folder.predictions, folder.segments, folder.objects, folder.journal)
    more = (folder.corrections, folder.retraining, folder.live_prediction, folder.suggestions, folder.previews)
    assert all((tmp_path / "v1") in place.parents for place in (*places, *more))
    assert folder.previews.parent == folder.segments


def test_of_a_project_of_before_each_part_is_where_it_still_lies(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "suggestions.json").write_text("{}")
    folder = VolumeFolder(tmp_path / "volumes" / "v1", former=tmp_path)
    assert folder.predictions == tmp_path / "predictions"
    assert folder.suggestions == tmp_path / "live" / "suggestions.json"
    assert folder.segments == tmp_path / "volumes" / "v1" / "segments", "what is new is made in its place"


def test_what_was_moved_counts_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    moved = tmp_path / "volumes" / "v1" / "predictions"
    moved.mkdir(parents=True)
    assert VolumeFolder(tmp_path / "volumes" / "v1", former=tmp_path).predictions == moved
