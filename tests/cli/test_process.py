"""The command line as users start it: a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

START = [sys.executable, "-m", "napari_pytc.cli.main"]
HEAVY = ("torch", "monai", "lightning", "napari", "qtpy")
QUICK = """
import json, sys
from napari_pytc.cli.main import app
for words in json.loads(sys.argv[1]):
    code = 0
    try:
        app(words)
    except SystemExit as end:
        code = end.code or 0
    loaded = [name for name in {heavy!r} if name in sys.modules]
    sys.stderr.write("\\nENDED " + json.dumps([" ".join(words), code, loaded]) + "\\n")
"""


def start(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*START, *map(str, words)], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def one_after_another(commands: list[list[str]], heavy: tuple[str, ...]) -> str:
    """Run commands in one process, which shows the first that loads something as well as one for each would."""
    done = subprocess.run(
        [sys.executable, "-c", QUICK.format(heavy=heavy), json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ended = [json.loads(line[6:]) for line in done.stderr.splitlines() if line.startswith("ENDED ")]
    assert ended == [[" ".join(words), 0, []] for words in commands], done.stderr
    return done.stdout


def test_what_needs_no_network_loads_none(trained: Path, segmented: Path, tissue_file: Path, tmp_path: Path):
    (tmp_path / "edits.json").write_text("[]", encoding="utf-8")
    places = {"tmp": tmp_path, "trained": trained, "segmented": segmented, "image": tissue_file}
    commands = (
        ("--help",),
        ("train", "--help"),
        ("recipes",),
        ("recipes", "fast", "--json"),
        ("new", "{tmp}/a.pytc", "--image", "{image}:raw", "--classes", "a,b"),
        ("annotate", "{trained}", "{image}:strokes"),
        ("hold-out", "{trained}", "0:1,0:4,0:4"),
        ("models", "{trained}"),
        ("info", "{trained}"),
        ("info", "{image}"),
        ("export", "{trained}", "{tmp}/classes.tif"),
        ("annotate", "{trained}", "{image}:cells", "--instances"),
        ("segment", "{trained}"),
        ("history", "{trained}"),
        ("export", "{segmented}", "{tmp}/segments.tif", "--what", "segments"),
        ("proofread", "{segmented}", "{tmp}/edits.json"),
        ("replay", "{segmented}"),
        ("evaluate", "{image}:classes", "{image}:classes"),
    )
    one_after_another([[word.format(**places) for word in words] for words in commands], HEAVY)


def test_help_loads_no_numpy():
    assert "train" in one_after_another([["--help"]], ("numpy", "pydantic", "scipy"))


def test_train_writes_one_document_and_keeps_libraries_quiet(project: Path):
    words = ("--recipe", "fast", "--steps", 2, "network.channels=[4,8]", "patch_shape=[4,16,16]", "batch_size=1")
    done = start("train", project, *words, "device=cpu", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert Path(json.loads(done.stdout)["folder"]).is_dir()
    for chatter in ("GPU available", "litlogger", "Warning", "Traceback"):
        assert chatter not in done.stderr


def test_an_error_is_two_lines_on_stderr(tmp_path: Path):
    done = start("models", tmp_path / "none.pytc")
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["Error", "Hint"]


def test_an_unforeseen_error_shows_its_trace_only_when_asked(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import napari_pytc.plans.recipes as r\ndef bug(): raise ZeroDivisionError('a bug')\nr.recipes = bug\n",
        encoding="utf-8",
    )
    quiet = start("recipes", PYTHONPATH=str(tmp_path))
    assert quiet.returncode == 1
    assert "ZeroDivisionError: a bug" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in start("recipes", PYTHONPATH=str(tmp_path), NAPARI_PYTC_DEBUG="1").stderr


def test_a_reader_that_has_seen_enough_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [*START, "recipes", "fast"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_a_project_that_trains_on(project: Path):
    words = ("train", project, "--recipe", "instant", "steps=100000", "checkpoint_every=5", "device=cpu")
    running = subprocess.Popen([*START, *map(str, words)], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    while not list((project / "runs").glob("*/*.safetensors")):
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate()
    assert running.returncode == 130, told
    assert told.splitlines()[-1].startswith("Hint: ")
    assert "napari-pytc train" in told
    assert not list((project / "models").iterdir())
    copied = project.parent / "copy.pytc"
    shutil.copytree(project, copied)
    assert len(list((copied / "runs").iterdir())) == 1
    assert start("info", project, "--json").returncode == 0
