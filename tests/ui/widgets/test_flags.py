"""Options of the command line in messages are called as the window's fields."""

from __future__ import annotations

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.ui.widgets.flags import LABELS, OF_JOBS, SEGMENTATION, error_in_window, in_window


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Give a time point from 0 to 4 with --time.", "Give a time point from 0 to 4 with “Time point”."),
        ("Leave --channel out.", "Leave “Channel” out."),
        ("for example --axes zyx.", "for example “Axes: zyx”."),
        ("; --axes cyx reads channels.", "; “Axes: cyx” reads channels."),
        ("say --axes if they are others", "say “Axes” if they are others"),
        ("with --missing-sections blank they stay", "with “Missing sections: blank” they stay"),
        ("--channel takes one of them", "“Channel” takes one of them"),
        ("another with --channel or --time, or", "another with “Channel” or “Time point”, or"),
        ("say --axes xyz", "say “Axes: xyz”"),
        ("napari-pytc relink P --image PATH", "napari-pytc relink P --image PATH"),
    ],
)
def test_reading(text: str, shown: str) -> None:
    assert in_window(text) == shown


def test_other_dialogs_have_titles_of_their_own() -> None:
    assert in_window("--map 0=background,255=mito.", LABELS) == "“Map values: 0=background,255=mito”."
    assert in_window("(--offset Z,Y,X)", LABELS) == "(“Begins at voxel: Z,Y,X”)"
    assert in_window("--components makes an object", LABELS) == "“Each connected part is an object” makes an object"
    assert in_window("say --ignore-value 7.", SEGMENTATION) == "say “No ids: 7”."
    assert in_window("with --time", SEGMENTATION) == "with “Time point”"
    assert in_window("with --components", SEGMENTATION) == "with --components"


def test_an_error_stays_what_it_is() -> None:
    error = error_in_window(VolumeError("It has 2 channels.", "Give one with --channel."))
    assert type(error) is VolumeError
    assert (error.message, error.hint) == ("It has 2 channels.", "Give one with “Channel”.")


def test_jobs_name_the_fields_of_their_panel() -> None:
    text = "Choose the type uint16 (--dtype) or a TIFF series (--format tif-series)."
    assert (
        in_window(text, OF_JOBS["export"]) == "Choose the type uint16 (“Type”) or a TIFF series (“Format: tif-series”)."
    )
