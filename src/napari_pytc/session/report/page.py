"""The page itself: one HTML file that needs no other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from napari_pytc.geometry import Box
from napari_pytc.learning.verdicts import Comparison
from napari_pytc.session.report import charts
from napari_pytc.session.report.effort import PAUSE_S
from napari_pytc.session.report.methods import commands, methods, settings_changed
from napari_pytc.session.report.pictures import Picture

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1rem; margin-bottom: .3rem; } p.dim, figcaption, .dim { color: #555; }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .2rem .7rem; text-align: left;
  border-bottom: 1px solid #ddd; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } pre { background: #f4f4f4; padding: .7rem; font-size: 13px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.pictures, .charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
img { max-width: 100%; width: 288px; image-rendering: pixelated; display: block; }
svg { width: 420px; max-width: 100%; font: 11px system-ui, sans-serif; }
svg .title { font-weight: 600; font-size: 12px; } .swatch { display: inline-block; width: .8em; height: .8em;
  margin-right: .4em; border: 1px solid #888; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; }
  figure, svg, table { break-inside: avoid; } }
"""


class Html(str):
    """Text that is HTML already."""


def page(facts: Mapping[str, Any], pictures: Sequence[Picture], shown: Box | None) -> str:
    """The report as one HTML document.

    Parameters
    ----------
    facts : mapping
        What `gather` found.
    shown : Box, optional
        The section that the pictures show.
    """
    title = f"Report on {facts['project']}"
    parts = [
        f"<h1>{escape(title)}</h1><p class=dim>Made {_date(facts['made'])} with napari-pytc "
        f"{escape(facts['versions'].get('napari-pytc', ''))}; the project was begun {_date(facts['created'])}.</p>",
        _section("Data", _data(facts)),
        _section("Pictures", _pictures(pictures, shown)),
        _section("Annotation effort", _effort(facts)),
        _section("Models and scores", _models(facts)),
        _section("Training curves", _curves(facts)),
        _section("Predictions and segmentations", _outcomes(facts)),
        _section("Edits", _edits(facts)),
        _section("Methods", _methods(facts)),
        _section("Do it again", _commands(facts)),
        _section("Settings", _settings(facts)),
        _section("Versions", _table(("library", "version"), facts["versions"].items())),
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _data(facts: Mapping[str, Any]) -> str:
    image = facts["image"]
    lengths = " × ".join(map(str, image["shape"]))
    rows = [
        ("image", image["where"]),
        ("shape", f"{lengths} voxels (z, y, x), {image['dtype']}"),
        ("voxel size", " × ".join(f"{v:g}" for v in image["voxel_size_nm"]) + " nm"),
        ("size", " × ".join(f"{v:.3g}" for v in image["size_um"]) + " µm"),
        ("fingerprint", image["digest"][:16]),
        ("held out", "  ".join(facts["held_out"]) or "nothing"),
    ]
    return _table(("", ""), rows)


def _pictures(found: Sequence[Picture], shown: Box | None) -> str:
    if not found or shown is None:
        return "<p>The image could not be read, so that there is nothing to show.</p>"
    figures = "".join(
        f'<figure><img src="{one.data}" alt="{escape(one.title)}"><figcaption>{escape(one.title)}</figcaption></figure>'
        for one in found
    )
    return f"<div class=pictures>{figures}</div><p class=dim>Section {shown.start[0]}, voxels {escape(str(shown))}.</p>"


def _effort(facts: Mapping[str, Any]) -> str:
    effort, objects = facts["effort"], facts["objects"]
    rows = [
        ("strokes", f"{effort['n_strokes']:,}, and {effort['n_imports']} imports of labels"),
        ("active minutes of painting", f"{effort['minutes_painting']:.1f}"),
        ("edits of segments", f"{effort['n_edits']:,}"),
        ("active minutes of proofreading", f"{effort['minutes_proofreading']:.1f}"),
        ("taken back", f"{effort['n_taken_back']:,}"),
        ("first and last act", f"{_date(effort['first'])} to {_date(effort['last'])}"),
        ("objects marked", f"{objects['n']:,}: {objects['n_voxels']:,} voxels, {objects['n_background']:,} of none"),
    ]
    classes = [
        (Html(f"<span class=swatch style='background:{escape(one['colour'])}'></span>{escape(one['name'])}"),
         one["n_taught"], one["n_scored"])
        for one in facts["classes"]
    ]  # fmt: skip
    note = (
        f"<p class=dim>Active minutes are those between acts in the journal; a gap of more than {PAUSE_S:.0f} s is a "
        "pause. Labels made elsewhere and imported are not in them.</p>"
    )
    columns = ("class", "voxels that teach", "voxels held out, that score")
    return _table(("", ""), rows) + _table(columns, classes) + note


def _models(facts: Mapping[str, Any]) -> str:
    if not facts["models"]:
        return "<p>No model was trained.</p>"
    rows, points, told = [], [], []
    for one in facts["models"]:
        scores, limits = one["scores"], one["interval"]
        found = [Comparison.model_validate(comparison) for comparison in one["comparisons"]]
        dice = scores.get("dice") or {}
        rows.append(
            (
                one["id"] + (" (in use)" if one["is_in_use"] else ""),
                one["parent"] or "-",
                "-" if scores.get("mean") is None else f"{scores['mean']:.3f}",
                "-" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}",
                ", ".join(f"{name} {value:.3f}" for name, value in dice.items() if value is not None) or "-",
                one.get("steps", "-"),
                round(one.get("seconds", 0)),
            )
        )
        told += [f"{one['id']}: {comparison.sentence}" for comparison in found]
        if one["problem"]:
            told.append(f"{one['id']} is damaged: {one['problem']}")
        if scores.get("mean") is not None:
            limits = None if limits is None else (limits[0], limits[1])
            points.append((one["id"], scores["mean"], limits, any(c.verdict == "worse" for c in found)))
    columns = ("model", "parent", "mean", "95 %", "Dice", "steps", "seconds")
    note = (
        "<p class=dim>Scores are of annotated voxels in the held-out boxes, of the half of their blocks that decided "
        "nothing. Intervals are percentiles of means of blocks drawn anew 2000 times; both models of a comparison are "
        "scored on the same draws. Hollow: found worse, so not put to use by itself.</p>"
    )
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in told)
    said = f"<ul>{said}</ul>" if told else ""
    return f"<div class=scroll>{_table(columns, rows)}</div>{said}{charts.scores('Mean held-out score', points)}{note}"


def _curves(facts: Mapping[str, Any]) -> str:
    colours = {one["name"]: one["colour"] for one in facts["classes"]}
    found = []
    for run in facts["runs"]:
        if run["kind"] not in ("train", "live"):
            continue
        scores = {
            name.partition("/")[2] or name: points
            for name, points in run["curves"].items()
            if name.startswith(("dice/", "instant/", "network/")) and name != "network/loss"
        }
        loss = {name: run["curves"].get(name, []) for name in ("loss", "network/loss")}
        found.append(charts.curves(f"{run['subject']}: loss", loss, "step"))
        found.append(charts.curves(f"{run['subject']}: score while training", scores, "step", colours))
    return f"<div class=charts>{''.join(found)}</div>" if any(found) else ""


def _outcomes(facts: Mapping[str, Any]) -> str:
    predictions = [(one["id"], one["model"], one["box"] or "all", one["state"]) for one in facts["predictions"]]
    segmentations = [
        (
            one["id"] + (" (current)" if one["active"] else ""),
            one["prediction"],
            one["decoder"].get("kind", "-"),
            one["n_supervoxels"],
            one["n_segments"],
            one["problem"] or one["checksum"][:12],
        )
        for one in facts["segmentations"]
    ]
    of = ("segmentation", "prediction", "decoder", "supervoxels", "segments", "checksum")
    return (_table(("prediction", "model", "box", "state"), predictions) if predictions else "") + (
        _table(of, segmentations) if segmentations else ""
    )


def _edits(facts: Mapping[str, Any]) -> str:
    rows = [(one["kind"], one["n"], one["n_taken_back"], one["n_voxels"]) for one in facts["edits"]]
    return _table(("kind", "in effect", "taken back", "voxels changed"), rows) if rows else ""


def _methods(facts: Mapping[str, Any]) -> str:
    paragraph = methods(facts)
    listed = "".join(f"<li>{escape(one)}</li>" for one in paragraph.references)
    return f"<p>{escape(paragraph.text)}</p><ol>{listed}</ol>"


def _commands(facts: Mapping[str, Any]) -> str:
    return f"<pre>{escape(chr(10).join(commands(facts)))}</pre>"


def _settings(facts: Mapping[str, Any]) -> str:
    found = []
    for one in facts["models"]:
        if one["problem"]:
            continue
        words = "\n".join(settings_changed(one["recipe"], one["plan"])) or "as in the recipe"
        made = ", ".join(f"{name} {number}" for name, number in one["versions"].items())
        found.append(f"<h3>{escape(one['id'])}: {escape(one['recipe'])}</h3><pre>{escape(words)}</pre>")
        found.append(f"<p class=dim>Trained in {escape(one['precision'])} with {escape(made)}.</p>")
    for one in facts["segmentations"]:
        text = escape(json.dumps(one["decoder"], indent=1))
        found.append(f"<h3>{escape(one['id'])}: decoder</h3><pre>{text}</pre>")
    return "".join(found)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    rows = [list(row) for row in rows]
    numbers = [bool(rows) and all(isinstance(row[k], int | float) for row in rows) for k in range(len(columns))]
    kinds = [" class=n" if is_number else "" for is_number in numbers]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(columns, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{_cell(one)}</td>" for one, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table>{f'<tr>{head}</tr>' if any(columns) else ''}{body}</table>"


def _date(text: str | None) -> str:
    """A date and time as people read it."""
    return "-" if text is None else escape(text[:16].replace("T", " ")) + " UTC"


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return value
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
