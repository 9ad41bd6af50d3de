from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from tests.support.faults import file_size_limit
from tests.support.tissue import Tissue


@pytest.mark.slow
def test_importing_the_session_leaves_torch_and_the_window_out():
    code = """
import sys
for name in ("qtpy", "PyQt6", "PySide6", "PyQt5"):
    sys.modules[name] = None
import napari_pytc.session.session
heavy = {"torch", "monai", "lightning", "napari", "magicgui"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_labels_are_counted_by_class(session: Session, tissue: Tissue):
    heard: list[Box] = []
    session.strokes.changed.connect(heard.append)
    counts = session.strokes.add(tissue.classes[:3], (1, 0, 0)).counts
    assert counts == {"membrane": int((tissue.classes[:3] == 1).sum()), "inside": int((tissue.classes[:3] == 2).sum())}
    assert session.strokes.counts() == counts
    assert heard == [Box((1, 0, 0), (4, 48, 40))]


def test_labels_from_a_volume(session: Session, tmp_path, tissue: Tissue):
    from napari_pytc.volumes.opening import open_volume

    np.save(tmp_path / "labels.npy", tissue.classes)
    assert session.strokes.add(open_volume(tmp_path / "labels.npy")).total == tissue.classes.size


def test_a_value_beyond_the_classes_is_refused(session: Session, tissue: Tissue):
    with pytest.raises(InvalidInput, match=r"value 3 .* 2 classes"):
        session.strokes.add(np.full(tissue.raw.shape, 3, np.uint8))
    with pytest.raises(InvalidInput, match="label 3, but there are 2 classes"):
        session.strokes.paint(Box((0, 0, 0), (1, 1, 1)), 3)
    assert session.strokes.store.revision == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
def test_a_full_disk_loses_no_earlier_stroke(session: Session):
    box = Box((0, 0, 0), (12, 48, 40))
    stroke = np.random.default_rng(0).integers(1, 3, box.shape).astype(np.uint8)
    session.strokes.paint(box, 1)
    with file_size_limit(500), pytest.raises(ProjectError, match="disk is full") as caught:
        session.strokes.paint(box, stroke)
    assert "Free space" in caught.value.hint
    assert session.strokes.counts() == {"membrane": box.size, "inside": 0}
    session.close()
    with Session.open(session.folder) as again:
        assert again.strokes.counts() == {"membrane": box.size, "inside": 0}
        again.strokes.paint(box, stroke)
        assert np.array_equal(again.strokes.store.read(box), stroke)


def test_held_out_boxes_come_and_go(session: Session):
    heard: list[tuple[Box, ...]] = []
    session.held_out.changed.connect(heard.append)
    a, b = Box((0, 0, 0), (2, 2, 2)), Box((4, 0, 0), (6, 2, 2))
    for box in (a, b, a):
        session.held_out.add(box)
    assert session.held_out.boxes == (a, b)
    session.held_out.release(a)
    assert session.held_out.boxes == (b,)
    assert heard == [(a,), (a, b), (b,)]
    with pytest.raises(InvalidInput, match="not held out"):
        session.held_out.release(a)


@pytest.mark.parametrize("box", [Box((0, 0, 0), (13, 1, 1)), Box((-1, 0, 0), (1, 1, 1)), Box((1, 1, 1), (1, 1, 1))])
def test_a_box_outside_the_volume_is_refused(session: Session, box: Box):
    with pytest.raises(InvalidInput, match="within the volume"):
        session.held_out.add(box)
    assert session.held_out.boxes == ()


def test_a_class_is_named_once(session: Session):
    with pytest.raises(InvalidInput, match="already"):
        session.classes.add("inside")
    assert session.classes.add("vesicle").id == 3
    session.strokes.paint(Box((0, 0, 0), (1, 1, 1)), 3)


def test_another_thread_may_not_change_it(session: Session):
    raised: list[BaseException] = []

    def change() -> None:
        try:
            session.held_out.add(Box((0, 0, 0), (1, 1, 1)))
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    thread.join()
    assert "thread" in str(raised[0])
    assert session.held_out.boxes == ()


def test_closing_twice_is_fine(session: Session):
    session.close()
    session.close()


def test_a_session_is_small_and_its_components_do_not_know_it(session: Session):
    members = [name for name in {*vars(session), *vars(Session)} if not name.startswith("_")]
    assert len(members) <= 21
    assert Session.__bases__ == (object,)
    for name, component in vars(session).items():
        held = vars(component).values() if hasattr(component, "__dict__") else ()
        assert not any(isinstance(value, Session) for value in held), name
