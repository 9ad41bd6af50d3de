"""TEASAR in a process of its own: what is asked and answered."""

from __future__ import annotations

import io

import numpy as np
import pytest

from napari_pytc.errors import PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.skeletons import teasar_process
from napari_pytc.skeletons.teasar import Teasar, skeletonise
from napari_pytc.skeletons.teasar_process import read_reply, request_of, serve

SPACE = VoxelSpace((20.0, 10.0, 10.0), (0.0, 5.0, 0.0), is_placed=True)
START = (3, 4, 5)


def tube() -> np.ndarray:
    mask = np.zeros((5, 9, 41), bool)
    mask[1:4, 2:7, 1:40] = True
    return mask


def answered(*requests: bytes) -> bytes:
    replies = io.BytesIO()
    serve(io.BytesIO(b"".join(requests)), replies)
    return replies.getvalue()


@pytest.mark.parametrize("teasar", [None, Teasar(3.0, 40.0)])
def test_a_reply_is_the_skeleton(teasar: Teasar | None) -> None:
    expected = skeletonise(tube(), 7, SPACE, START, teasar)
    received = answered(request_of(tube(), 7, SPACE, START, teasar))
    reply = read_reply(received, 7)
    assert reply is not None
    skeleton, rest = reply
    assert rest == b""
    assert skeleton.segment == 7
    assert skeleton.nodes_nm.tolist() == expected.nodes_nm.tolist()
    assert skeleton.edges.tolist() == expected.edges.tolist()
    assert skeleton.radii_nm.tolist() == expected.radii_nm.tolist()


def test_replies_come_in_pieces_and_one_after_another() -> None:
    received = answered(request_of(tube(), 1, SPACE), request_of(tube()[:, :, :20], 2, SPACE))
    first = read_reply(received, 1)
    assert first is not None
    cut = len(received) - len(first[1])
    assert all(read_reply(received[:n], 1) is None for n in (0, 5, cut - 1))
    second = read_reply(first[1], 2)
    assert second is not None
    assert (first[0].segment, second[0].segment, second[1]) == (1, 2, b"")
    assert second[0].length_nm < first[0].length_nm


def test_half_a_request_is_not_answered() -> None:
    assert answered(request_of(tube(), 1, SPACE)[:-1]) == b""


def test_a_lack_of_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(teasar_process, "skeletonise", fail)
    with pytest.raises(PytcError, match="not enough memory for the skeleton of segment 9"):
        read_reply(answered(request_of(tube(), 9, SPACE)), 9)
