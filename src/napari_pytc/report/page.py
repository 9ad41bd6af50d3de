"""The report: one HTML file that needs no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Box
from napari_pytc.report import charts
from napari_pytc.report.commands import commands, settings_changed
from napari_pytc.report.effort import PAUSE_S
from napari_pytc.report.facts import gather
from napari_pytc.report.methods import methods
from napari_pytc.report.model_tables import confusion_table, curves, models_table, objects_table
from napari_pytc.report.pictures import Picture, pictures
from napari_pytc.report.tables import Table, number
from napari_pytc.report.truth import compare_with_truth
from napari_pytc.session.session import Session


def write_report(
    session: Session,
    path: str | Path,
    overwrite: bool = False,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    truth: str | None = None,
) -> dict[str, Any]:
    """Write a page about a project that needs no other file; any thread.

    Parameters
    ----------
    path : Path
        An ``.html`` file; its folder must be there.
    on_progress : callable
        Called with the number of steps done and their total.
    truth : str, optional
        Labels or skeletons that the current segmentation is compared with, as of `compare_with_truth`.

    Returns
    -------
    dict
        The facts of the page, as `gather` finds them; with a truth ``against_truth``.

    Raises
    ------
    InvalidInput
        If the name is no page's, or something is there already.
    ProjectError
        If the disk refuses.
    """
    target = Path(path).expanduser().absolute()
    if target.suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(
            f"A report is a page that ends in .html, got {target.name}.", "Name it for example report.html."
        )
    if not target.parent.is_dir():
        raise InvalidInput(f"The folder of the report does not exist: {target.parent}.", "Make it, or choose another.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise InvalidInput(f"There is already something at {target}.", "Choose another name, or add --overwrite.")
    against = {} if truth is None else {"against_truth": compare_with_truth(session, truth, on_progress)}
    facts = gather(session) | against
    on_progress(1, 3)
    found, shown = pictures(session)
    on_progress(2, 3)
    try:
        write_text_durably(target, render_page(facts, found, shown))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProjectError(
            f"The report {target} cannot be written: {reason}.", "Free space on the disk or choose another folder."
        ) from error
    on_progress(3, 3)
    return facts


def render_page(facts: Mapping[str, Any], pictures: Sequence[Picture], shown: Box | None) -> str:
    """The report as one HTML document.

    Parameters
    ----------
    facts : mapping
        The facts from `gather`.
    shown : Box, optional
        The section that the pictures show.
    """
    environment = Environment(
        loader=PackageLoader("napari_pytc.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"date": _date, "cell": _cell}
    models, notes, points = models_table(facts)
    return environment.get_template("page.html.j2").render(
        facts=facts,
        data=_data(facts),
        pictures=pictures,
        shown=shown,
        effort=_effort(facts),
        pause_s=f"{PAUSE_S:.0f}",
        models=models,
        notes=notes,
        objects=objects_table(facts),
        confusion=confusion_table(facts),
        scores=Markup(charts.scores("Mean held-out score", points)),
        curves=curves(facts),
        predictions=_predictions(facts),
        segmentations=_segmentations(facts),
        edits=Table(
            ("kind", "in effect", "taken back", "voxels changed"),
            [(one["kind"], one["n"], one["n_taken_back"], one["n_voxels"]) for one in facts["edits"]],
        ),
        against=_against_truth(facts),
        methods=methods(facts),
        commands=commands(facts),
        settings=_settings(facts),
        versions=Table(("library", "version"), list(facts["versions"].items())),
    )


@dataclass(frozen=True)
class SettingsText:
    """Settings of a model or segmentation, as text."""

    title: str
    text: str
    note: str = ""


def _data(facts: Mapping[str, Any]) -> Table:
    image = facts["image"]
    lengths = " × ".join(map(str, image["shape"]))
    rows = [
        *([("volume", f"{facts['volume']}, of {', '.join(facts['volumes'])}")] if len(facts["volumes"]) > 1 else []),
        ("image", image["where"]),
        ("shape", f"{lengths} voxels (z, y, x), {image['dtype']}"),
        *([("channels", ", ".join(image["channels"]))] if len(image["channels"]) > 1 else []),
        ("voxel size", " × ".join(f"{v:g}" for v in image["voxel_size_nm"]) + " nm"),
        ("size", " × ".join(f"{v:.3g}" for v in image["size_um"]) + " µm"),
        ("fingerprint", image["digest"][:16]),
        ("held out", "  ".join(facts["held_out"]) or "nothing"),
    ]
    return Table(("", ""), rows)


def _effort(facts: Mapping[str, Any]) -> Table:
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
    return Table(("", ""), rows)


def _predictions(facts: Mapping[str, Any]) -> Table:
    rows = [(one["id"], one["model"], one["box"] or "all", one["state"]) for one in facts["predictions"]]
    return Table(("prediction", "model", "box", "state"), rows)


def _segmentations(facts: Mapping[str, Any]) -> Table:
    rows = [
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
    return Table(("segmentation", "prediction", "decoder", "supervoxels", "segments", "checksum"), rows)


def _against_truth(facts: Mapping[str, Any]) -> Table | None:
    """Scores of the current segmentation; None where it was not compared."""
    found = facts.get("against_truth")
    if found is None:
        return None
    instances, skeletons = found.get("instances"), found["skeletons"]
    rows: list[tuple[str, Any]] = [("segmentation", found["segmentation"]), ("truth", found["truth"])]
    if instances is not None:
        rows += [
            ("variation of information, split (bits)", number(instances["voi_split"])),
            ("variation of information, merge (bits)", number(instances["voi_merge"])),
            ("adapted Rand error", number(instances["arand"])),
            ("average precision, IoU 0.5", number(instances["average_precision_50"])),
            ("average precision, IoU 0.5 to 0.95", number(instances["average_precision"])),
        ]
    shares = ", ".join(f"{name} {number(share)}" for name, share in skeletons["share"].items())
    rows += [
        ("normalised expected run length (NERL)", number(skeletons["nerl"])),
        (f"expected run length ({skeletons['unit']})", number(skeletons["erl"])),
        (f"the same without any mistake ({skeletons['unit']})", number(skeletons["erl_of_truth"])),
        ("variation of information at nodes, split and merge (bits)",
         f"{number(skeletons['voi_split'])}, {number(skeletons['voi_merge'])}"),
        ("path length", shares),
    ]  # fmt: skip
    return Table(("", ""), rows)


def _settings(facts: Mapping[str, Any]) -> list[SettingsText]:
    found = []
    for one in facts["models"]:
        if one["problem"]:
            continue
        changed = "\n".join(settings_changed(one["recipe"], one["plan"])) or "as in the recipe"
        libraries = ", ".join(f"{name} {number}" for name, number in one["versions"].items())
        note = f"Trained in {one['precision']} with {libraries}."
        found.append(SettingsText(f"{one['id']}: {one['recipe']}", changed, note))
    found += [
        SettingsText(f"{one['id']}: decoder", json.dumps(one["decoder"], indent=1)) for one in facts["segmentations"]
    ]
    return found


def _date(text: str | None) -> str:
    """A date and time as people read it."""
    return "-" if text is None else text[:16].replace("T", " ") + " UTC"


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
