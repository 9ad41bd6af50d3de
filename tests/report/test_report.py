"""A report stands alone, tells what is so, and reads whatever state a project is in."""

from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished, Measured
from napari_pytc.report import gather, write_report
from napari_pytc.report.charts import curves, scores
from napari_pytc.report.commands import commands, settings_changed
from napari_pytc.report.effort import active_minutes
from napari_pytc.report.methods import methods
from napari_pytc.report.pictures import middle_of_painting, pictures
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.session.test_gate import compared, day
from tests.session.test_jobs import PLAN
from tests.support.tissue import Tissue

HELD = Box((8, 0, 0), (12, 48, 40))
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """The tags of a page, checked to be closed in order; its words and its references to elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.titles: list[str] = []
        self.words: list[str] = []
        self.n_tables = 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        self.n_tables += tag == "table"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def full(session: Session, tissue: Tissue) -> Session:
    """A project with strokes, truth, two models, one of them refused, and a curve."""
    session.strokes.paint(Box((2, 10, 10), (3, 11, 30)), 1)
    session.strokes.paint(Box((2, 20, 10), (3, 21, 30)), 2)
    session.strokes.add(tissue.classes[9:11], offset=(9, 0, 0))
    session.held_out.add(HELD)
    make_model(session.folder / "models" / "m1", day(1), steps=60, seconds=4.2)
    points = [Measured(job="j1", name="loss", step=s, value=1 / s) for s in (1, 20, 60)]

    def leave(job: object) -> None:
        scores = {**compared("m1", "worse"), "n_voxels": 1234}
        make_model(job.output.model_folder, day(2), parent="m1", scores=scores)  # type: ignore[attr-defined]

    session.jobs.run(session.jobs.train_job(PLAN, parent="m1"), ScriptedRunner([*points, Finished(job="j1")], leave))
    return session


def write(session: Session, path: Path) -> Page:
    write_report(session, path)
    return Page(path.read_text(encoding="utf-8"))


def test_a_report_is_one_page_that_needs_no_other(full: Session, tmp_path: Path) -> None:
    page = write(full, tmp_path / "out.html")
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "<script" not in text
    assert "@import" not in text
    assert page.titles == [
        "Data", "Pictures", "Annotation effort", "Models and scores", "Training curves",
        "Edits", "Methods", "Do it again", "Settings", "Versions",
    ]  # fmt: skip
    for words in ("12 × 48 × 40 voxels", "40 × 10 × 10 nm", "Worse than m1", "0.750 to 0.850", str(HELD), "torch"):
        assert words in page.text


def test_its_pictures_show_the_section_that_was_painted_for_training(full: Session, tissue: Tissue) -> None:
    assert middle_of_painting(full)[0] == 2  # not the section of dense truth, which is held out
    found, box = pictures(full)
    assert box == Box((2, 0, 0), (3, 48, 40))
    assert [picture.title for picture in found] == ["Raw", "Strokes"]
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one.data.partition(",")[2]))))[4::8, 4::8] for one in found
    ]
    raw, strokes = images
    assert raw.shape == (48, 40, 3)
    assert np.corrcoef(raw[..., 0].ravel(), tissue.raw[2].ravel())[0, 1] > 0.99
    painted = (raw != strokes).any(axis=-1)
    assert painted.sum() == 40
    assert painted[10, 10:30].all()
    assert painted[20, 10:30].all()


def test_training_voxels_are_counted_apart_from_scored_ones(full: Session) -> None:
    facts = gather(full)
    json.dumps(facts)
    classes = {one["name"]: (one["n_taught"], one["n_scored"]) for one in facts["classes"]}
    assert (classes["membrane"][0], classes["inside"][0]) == (20, 20)
    assert classes["membrane"][1] + classes["inside"][1] == 2 * 48 * 40
    effort = facts["effort"]
    assert (effort["n_strokes"], effort["n_imports"], effort["n_edits"]) == (2, 1, 0)
    assert [row["kind"] for row in facts["edits"]] == ["scribble"]


def test_undone_strokes_are_counted_apart(full: Session) -> None:
    full.proofreader.undo()
    effort = gather(full)["effort"]
    assert (effort["n_strokes"], effort["n_imports"], effort["n_taken_back"]) == (2, 0, 1)


def test_an_empty_project_has_a_report_too(session: Session, tmp_path: Path) -> None:
    page = write(session, tmp_path / "out.html")
    assert "No model was trained" in page.text
    assert len(page.links) == 1  # the raw


def test_a_project_whose_image_is_gone_and_with_a_damaged_model_has_one(
    full: Session, tmp_path: Path, image: Path
) -> None:
    (full.folder / "models" / "m1" / "plan.json").write_text("{")
    full.close()
    image.unlink()
    with Session.open(full.folder, read_only=True) as again:
        page = write(again, tmp_path / "out.html")
    assert "could not be read" in page.text
    assert "m1 is damaged" in page.text


def test_names_that_are_html_are_shown_as_they_are(session: Session, tmp_path: Path) -> None:
    session.classes.rename(1, "<b>axon & more</b>")
    make_model(session.folder / "models" / "m1", day(1), classes=("<b>axon & more</b>", "inside"))
    assert "<b>axon & more</b>" in write(session, tmp_path / "out.html").text


def test_the_methods_have_numbers_and_only_what_was_used_is_cited(full: Session) -> None:
    facts = gather(full)
    paragraph = methods(facts)
    assert "2 strokes" in paragraph.text
    assert "Predictions are of m1" in paragraph.text
    assert "1 box was held out" in paragraph.text
    assert f"[{len(paragraph.references)}]" in paragraph.text
    assert f"[{len(paragraph.references) + 1}]" not in paragraph.text
    assert not any("watershed" in reference for reference in paragraph.references)
    assert any("AdamW" in sentence or "Decoupled" in sentence for sentence in paragraph.references)


def test_the_commands_begin_anew_and_name_what_differs_from_the_recipe(full: Session) -> None:
    found = commands(gather(full))
    assert found[0].startswith("napari-pytc new a.pytc --image ")
    assert found[0].endswith("--classes membrane,inside --voxel-size 40,10,10")
    assert f"napari-pytc hold-out a.pytc {HELD}" in found
    trainings = [line for line in found if " train " in line]
    assert len(trainings) == 2
    assert " --from m1 " in trainings[1]
    assert "steps=10" in settings_changed("fast", PLAN.model_dump(mode="json"))
    assert settings_changed("mine", {"steps": 3, "network": {"kind": "unet"}}) == ["steps=3", "network.kind=unet"]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [([], 0), ([10], 5), ([10, 40, 70], 65), ([70, 10, 40], 65), ([0, 60, 500, 560], 130), ([0, 121], 10)],
)
def test_minutes_count_work_and_not_pauses(times: list[float], seconds: float) -> None:
    assert active_minutes(times) * 60 == pytest.approx(seconds)


def test_charts_are_xml_with_what_they_show() -> None:
    chart = ElementTree.fromstring(curves("a < b", {"loss": [(1, 2.0), (2, 1.0)], "dice": [(1, 0.5)]}, "step"))
    lines = chart.findall("{*}polyline")
    assert len(lines) == 1
    assert len(lines[0].attrib["points"].split()) == 2
    assert curves("a", {"loss": []}, "step") == ""
    rows = [("m1", 0.5, (0.4, 0.6), False), ("m2", 0.5, None, True)]
    chart = ElementTree.fromstring(scores("s", rows))
    assert [dot.attrib["fill"] == "#ffffff" for dot in chart.findall("{*}circle")] == [False, True]
    assert scores("s", []) == ""


@pytest.mark.parametrize("name", ["out.pdf", "missing/out.html", "there.html"])
def test_a_name_that_cannot_be_is_refused_in_a_sentence(session: Session, tmp_path: Path, name: str) -> None:
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(InvalidInput) as caught:
        write_report(session, tmp_path / name)
    assert caught.value.hint
    assert (tmp_path / "there.html").read_text() == "mine"
    write_report(session, tmp_path / "there.html", overwrite=True)
    assert "Report on" in (tmp_path / "there.html").read_text(encoding="utf-8")
