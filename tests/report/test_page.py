"""The page of a report from hand-made facts: sections, tables, escaping."""

from __future__ import annotations

import re
from typing import Any

import pytest
from markupsafe import escape

from napari_pytc.geometry import Box
from napari_pytc.report.page import render_page
from napari_pytc.report.pictures import Picture
from napari_pytc.report.tables import Table
from tests.report.hand_made_facts import MODEL, SEGMENTATION, facts

NASTY = "<i>a & 'b'</i>"


def titles(page: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", page)


def test_a_new_project_has_the_sections_that_are_never_empty() -> None:
    page = render_page(facts(), [], None)
    assert titles(page) == [
        "Data", "Pictures", "Annotation effort", "Models and scores", "Methods", "Do it again", "Versions",
    ]  # fmt: skip
    assert "No model was trained." in page
    assert "there is nothing to show" in page
    assert "Made 2025-01-02 03:04 UTC with napari-pytc 0.2.0; the project was begun 2024-12-31 23:59 UTC." in page
    assert "<td>first and last act</td><td>- to -</td>" in page


def test_what_was_done_adds_its_sections() -> None:
    done = facts(
        models=[MODEL],
        predictions=[{"id": "p1", "model": "m1", "box": None, "state": "finished", "flips": False}],
        segmentations=[SEGMENTATION],
        edits=[{"kind": "merge", "n": 3, "n_taken_back": 1, "n_voxels": 4567}],
        runs=[{"kind": "train", "subject": "m1", "curves": {"loss": [[1, 2.0], [2, 1.0]]}}],
    )
    page = render_page(done, [], None)
    assert titles(page) == [
        "Data", "Pictures", "Annotation effort", "Models and scores", "Training curves",
        "Predictions and segmentations", "Edits", "Methods", "Do it again", "Settings", "Versions",
    ]  # fmt: skip
    assert "<td>m1 (in use)</td>" in page
    assert "<td>0.700 to 0.900</td><td>membrane 0.750</td><td class=n>1,500</td><td class=n>61</td>" in page
    assert "<td class=n>12,000</td><td class=n>7</td><td>0123456789ab</td>" in page
    assert page.count("<svg") == 2
    assert "Trained in float32 with torch 2.5." in page


def test_the_confusion_of_the_model_in_use_is_shown() -> None:
    scores = MODEL["scores"] | {
        "mean_iou": 0.5678,
        "accuracy": 0.8765,
        "confusion": {"classes": ["membrane", "<in>"], "voxels": [[7, 1], [2, 3210]]},
    }
    curves = {"mean_iou": [[1, 0.4], [2, 0.5]], "accuracy": [[1, 0.6], [2, 0.8]]}
    run = {"kind": "train", "subject": "m1", "state": "finished", "seconds": 3, "curves": curves}
    page = render_page(facts(models=[{**MODEL, "scores": scores, "is_in_use": True}], runs=[run]), [], None)
    for text in ("voxels that are ...", "as membrane", "as &lt;in&gt;", "3,210", "0.568", "0.876", "mean IoU"):
        assert text in page
    other = render_page(facts(models=[{**MODEL, "scores": scores, "is_in_use": False}]), [], None)
    assert "voxels that are" not in other


def test_scores_of_objects_are_shown_by_model_and_class() -> None:
    one = {"average_precision": 0.234, "average_precision_50": 0.567, "predicted_objects": 1400, "truth_objects": 7}
    objects = {**one, "average_precision_50": 0.777, "voi_split": 0.5, "voi_merge": 0.123, "of_class": {"<mito>": one}}
    of_another = {**MODEL["scores"], "truth": "a", "dice": {"membrane": 0.5}, "mean": 0.5}
    curves = {"average_precision_50": [[1, 0.1], [2, 0.7]], "average_precision_50/mito": [[1, 0.2], [2, 0.6]]}
    page = render_page(
        facts(
            models=[
                {**MODEL, "scores": {**MODEL["scores"], "objects": objects, "truth": "b"}, "is_in_use": True},
                {**MODEL, "id": "m0", "scores": of_another, "is_in_use": False},
            ],
            runs=[{"kind": "train", "subject": "m1", "state": "finished", "seconds": 3, "curves": curves}],
        ),
        [],
        None,
    )
    for text in ("AP 0.5", "0.777", "VOI", "0.623", "&lt;mito&gt;", "0.567", "0.234", "1,400", "AP 0.5 mito"):
        assert text in page
    assert "NERL</th>" not in page
    assert "m0: Not to be compared with the scores of m1, which is in use" in page


def test_a_damaged_model_has_its_problem_and_no_settings() -> None:
    damaged = {**MODEL, "problem": "weights are gone", "scores": {}, "interval": None}
    page = render_page(facts(models=[damaged]), [], None)
    assert "<li>m1 is damaged: weights are gone</li>" in page
    assert "Settings" not in titles(page)


@pytest.mark.parametrize(
    "changes",
    [
        {"project": NASTY},
        {"classes": [{"name": NASTY, "colour": "#000000", "n_taught": 1, "n_scored": 0}]},
        {"models": [{**MODEL, "id": NASTY}]},
        {"models": [{**MODEL, "problem": NASTY}]},
        {"predictions": [{"id": "p", "model": NASTY, "box": None, "state": "finished", "flips": False}]},
        {"held_out": [NASTY]},
        {"runs": [{"kind": "train", "subject": NASTY, "curves": {"loss": [[1, 2.0], [2, 1.0]]}}]},
        {"versions": {"Python": NASTY}},
    ],
)
def test_names_never_become_html(changes: dict[str, Any]) -> None:
    page = render_page(facts(**changes), [], None)
    assert "<i>" not in page
    assert str(escape("<i>a & ")) in page


def test_pictures_have_titles_and_their_place() -> None:
    shown = Box((3, 10, 20), (4, 30, 50))
    page = render_page(facts(), [Picture("Raw", "data:image/png;base64,AAAA")], shown)
    assert '<img src="data:image/png;base64,AAAA" alt="Raw"><figcaption>Raw</figcaption>' in page
    assert f"Section 3, voxels {shown}." in page


def test_columns_of_numbers_are_recognised() -> None:
    table = Table(("a", "b", "c"), [("x", 1, 1), ("y", 2.5, "-")])
    assert table.is_number == [False, True, False]
    assert Table(("a",), []).is_number == [False]
    assert table.has_head
    assert not Table(("", ""), [("a", 1)]).has_head
