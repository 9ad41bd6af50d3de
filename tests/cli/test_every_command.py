"""Every command explains itself, and refuses what it cannot take in one sentence, also as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from napari_pytc.cli.main import app
from tests.cli.conftest import Command, is_one_error

COMMANDS: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined]
OF_PROJECTS = {name: one for name, one in COMMANDS.items() if any(p.name == "project" for p in one.params)}
BEYOND: dict[str, tuple[str, ...]] = {
    "annotate": ("{files}/labels.npy",),
    "hold-out": ("0:1,0:1,0:1",),
    "relink": ("--image", "raw.tif"),
    "proofread": ("{files}/edits.json",),
    "export": ("out.tif",),
    "report": ("report.html",),
    "add": ("--image", "{files}/labels.npy"),
    "remove": ("tissue", "--yes"),
    "restore": ("tissue",),
    "rename-volume": ("tissue", "other"),
    "add-class": ("third",),
    "rename-class": ("1", "other"),
}
"""What a command needs besides its project."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels to annotate with, and edits to make."""
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "labels.npy", np.ones((2, 3, 4), np.uint8))
    (folder / "edits.json").write_text('[{"kind": "merge", "segments": [1, 2]}]')
    return folder


def beyond(name: str, files: Path) -> list[str]:
    return [word.format(files=files) for word in BEYOND.get(name, ())]


def parameters(command: Any) -> list[Any]:
    return [p for p in command.params if p.name not in ("help", "as_json")]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_command_its_options_and_what_it_does(cli: Command, name: str) -> None:
    ended = cli(name, "--help")
    assert ended.code == 0
    assert ended.err == ""
    words = " ".join(ended.out.split())
    assert f"napari-pytc {name}" in words
    summary = (COMMANDS[name].help or "").strip().splitlines()[0]
    assert summary.endswith(".")
    assert summary[0].isupper()
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_has_a_sentence(name: str) -> None:
    for parameter in parameters(COMMANDS[name]):
        text = getattr(parameter, "help", None)
        assert text, (name, parameter.name)
        assert text.rstrip("]) ").endswith((".", ",", "json")) or "[" in text, (name, parameter.name, text)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_answer_as_json(name: str) -> None:
    assert any(parameter.name == "as_json" for parameter in COMMANDS[name].params)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_is_unknown_is_one_error(cli: Command, name: str) -> None:
    ended = cli(name, "--no-such-option")
    assert is_one_error(ended, "no-such-option", code=ended.code)
    assert ended.code != 0


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_error_is_one_json_document(cli: Command, name: str) -> None:
    ended = cli(name, "--no-such-option", "--json")
    assert ended.code != 0
    document = ended.document
    assert document.keys() == {"error", "hint"}
    assert "no-such-option" in document["error"]
    assert document["hint"] == f"`napari-pytc {name} --help` shows how the command is written."


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, one in COMMANDS.items() if any(p.required for p in one.params)])
def test_an_argument_that_is_missing_is_named(cli: Command, name: str) -> None:
    ended = cli(name, "--json")
    assert ended.code != 0
    required = [p for p in COMMANDS[name].params if p.required]
    names = {str(p.metavar or p.name).upper() for p in required} | {opt.upper() for p in required for opt in p.opts}
    assert any(word.split(":")[0].split("[")[0] in ended.document["error"].upper() for word in names)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_PROJECTS.keys() - {"new"}))
def test_a_project_that_is_not_there_is_told(cli: Command, name: str, files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gone.pytc"
    ended = cli(name, folder, *beyond(name, files))
    assert is_one_error(ended, "gone.pytc")
    document = cli(name, folder, *beyond(name, files), "--json").document
    assert document.keys() == {"error", "hint"}
    assert "gone.pytc" in document["error"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_PROJECTS.keys() - {"new"}))
def test_a_folder_that_is_no_project_is_told(cli: Command, name: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    ended = cli(name, tmp_path / "thesis", *beyond(name, files), "--json")
    assert ended.code == 1
    assert "thesis" in ended.document["error"]
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_without_a_command_the_help_is_shown(cli: Command) -> None:
    ended = cli()
    assert ended.code == 0
    for name in COMMANDS:
        assert name in ended.out


def test_a_command_that_is_unknown_is_one_error(cli: Command) -> None:
    assert is_one_error(cli("pridict"), "pridict", code=cli("pridict").code)
    assert cli("pridict", "--json").document["error"]


@pytest.mark.parametrize("option", ["--version"])
def test_the_version_is_one_line(cli: Command, option: str) -> None:
    from napari_pytc import __version__

    assert cli(option).out.strip() == f"napari-pytc {__version__}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("predict", "{p}", "--box", "0:4"), "A box is written Z0:Z1,Y0:Y1,X0:X1"),
        (("export", "{p}", "out.tif", "--box", "4:0,0:1,0:1"), "A box must stop at or after its start"),
        (("hold-out", "{p}", "everything"), "A box is written Z0:Z1,Y0:Y1,X0:X1"),
        (("annotate", "{p}", "labels.tif", "--offset", "1,2"), "is written Z,Y,X in voxels"),
        (("train", "{p}", "steps"), "A setting is changed with key=value, got 'steps'"),
        (("train", "{p}", "stpes=4"), "there is no setting 'stpes'"),
        (("train", "{p}", "--recipe", "fats"), "No recipe is called 'fats'"),
        (("segment", "{p}", "--prediction", "nothing"), "nothing"),
        (("models", "{p}", "--use", "nobody"), "nobody"),
        (("recipes", "fats"), "No recipe is called 'fats'"),
        (("history", "{p}", "--jump", "999"), "999"),
    ],
)
def test_an_argument_that_cannot_be_is_told(cli: Command, project: Path, words: tuple[str, ...], sentence: str) -> None:
    before = sorted(path.name for path in project.iterdir())
    ended = cli(*(word.format(p=project) for word in words))
    assert is_one_error(ended, sentence)
    assert sorted(path.name for path in project.iterdir()) == before
