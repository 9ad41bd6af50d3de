"""Every review store keeps what was answered, in its order; the file survives whatever a kill left in it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pytc.errors import ProjectError
from napari_pytc.proofreading.review.store import Decision, FileReviewStore, MemoryReviewStore, ReviewStore

IDS = st.integers(0, 2**32 - 1)
DECISIONS = st.builds(
    Decision,
    first=IDS,
    second=IDS,
    answer=st.sampled_from(["merge", "leave", "skip"]),
    score=st.just(-1.0) | st.floats(0, 1),
    share=st.floats(0, 1),
)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReviewStore:
    return MemoryReviewStore() if request.param == "memory" else FileReviewStore(tmp_path / "review.jsonl")


def test_a_new_one_is_empty(store: ReviewStore) -> None:
    assert store.load() == []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20, deadline=None
)
@given(decisions=st.lists(DECISIONS, max_size=5))
def test_answers_come_back_in_their_order(store: ReviewStore, decisions: list[Decision]) -> None:
    before = store.load()
    for decision in decisions:
        store.add(decision)
    assert store.load() == before + decisions


def test_the_same_answer_twice_is_kept_twice(store: ReviewStore) -> None:
    store.add(Decision(1, 2, "skip"))
    store.add(Decision(1, 2, "skip"))
    assert len(store.load()) == 2


def test_what_was_loaded_is_the_callers(store: ReviewStore) -> None:
    store.add(Decision(1, 2, "merge"))
    store.load().clear()
    assert len(store.load()) == 1


# The file


def test_another_store_of_the_file_finds_the_answers(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    FileReviewStore(path).add(Decision(1, 2, "merge", 0.5, 0.25))
    FileReviewStore(path).add(Decision(3, 0, "leave"))
    assert FileReviewStore(path).load() == [Decision(1, 2, "merge", 0.5, 0.25), Decision(3, 0, "leave")]


@given(n_bytes=st.integers(0, 200))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
def test_a_file_cut_off_anywhere_keeps_the_whole_lines_and_takes_new_ones(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "review.jsonl"
    path.unlink(missing_ok=True)
    store = FileReviewStore(path)
    kept = [Decision(1, 2, "merge", 0.75), Decision(5, 6, "leave"), Decision(7, 0, "skip")]
    ends = []
    for decision in kept:
        store.add(decision)
        ends.append(path.stat().st_size - 1)  # the line is whole without its line break
    n_bytes = min(n_bytes, ends[-1])
    os.truncate(path, n_bytes)
    whole = [decision for decision, end in zip(kept, ends, strict=True) if end <= n_bytes]
    assert store.load() == whole
    store.add(Decision(8, 9, "merge"))
    assert store.load() == [*whole, Decision(8, 9, "merge")]


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "perhaps"},
        {"answer": ["merge"]},
        {"answer": None},
        {"first": "one"},
        {"first": float("inf")},
        {"second": float("nan")},
        {"second": None},
        {"score": "high"},
        {"share": []},
    ],
    ids=str,
)
def test_a_line_that_is_no_answer_is_passed_over(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "review.jsonl"
    FileReviewStore(path).add(Decision(1, 2, "merge"))
    with path.open("a") as file:
        file.write(json.dumps(asdict(Decision(3, 4, "leave")) | change) + "\n")
    FileReviewStore(path).add(Decision(5, 6, "skip"))
    assert FileReviewStore(path).load() == [Decision(1, 2, "merge"), Decision(5, 6, "skip")]


@pytest.mark.parametrize("missing", ["first", "second", "answer", "score", "share"])
def test_a_line_without_a_field_is_passed_over(tmp_path: Path, missing: str) -> None:
    line = asdict(Decision(3, 4, "leave"))
    del line[missing]
    path = tmp_path / "review.jsonl"
    path.write_text(json.dumps(line))
    assert FileReviewStore(path).load() == []


@given(rubbish=st.binary(max_size=60))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
def test_bytes_of_any_kind_are_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "review.jsonl"
    path.write_bytes(rubbish)
    FileReviewStore(path).add(Decision(1, 2, "merge"))
    assert FileReviewStore(path).load() == [Decision(1, 2, "merge")]


@pytest.mark.parametrize("document", ["[]", "null", "3", '"merge"', "[1, 2]"])
def test_json_of_another_kind_is_passed_over(tmp_path: Path, document: str) -> None:
    path = tmp_path / "review.jsonl"
    path.write_text(document)
    assert FileReviewStore(path).load() == []


def test_a_file_that_is_a_folder_is_told_in_one_sentence(tmp_path: Path) -> None:
    store = FileReviewStore(tmp_path)
    with pytest.raises(ProjectError, match=r"^The answers of the review in .* could not be read or written: Is a dir"):
        store.load()
    with pytest.raises(ProjectError, match=r"could not be read or written"):
        store.add(Decision(1, 2, "merge"))


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    store = FileReviewStore(tmp_path / "gone" / "review.jsonl")
    assert store.load() == []
    with pytest.raises(ProjectError, match="No such file") as error:
        store.add(Decision(1, 2, "merge"))
    assert error.value.hint is not None
    assert "segments and edits are not in it" in error.value.hint
