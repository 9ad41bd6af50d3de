"""Answers of a review on disk, so that no place is reviewed twice after a restart."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from napari_pytc.errors import ProjectError

Answer = Literal["merge", "leave", "skip"]
_ANSWERS = ("merge", "leave", "skip")
FILE = "review.jsonl"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer at a place.

    Parameters
    ----------
    first, second : int
        Supervoxels that stand for the two segments; 0 as the second where one segment was looked at alone. Supervoxels
        and not segments, because these change their ids.
    score : float
        Score of the place; -1 for none.
    share : float
        Share of this contact in all contact of the smaller segment.
    """

    first: int
    second: int
    answer: Answer
    score: float = -1.0
    share: float = 1.0


class ReviewStore(Protocol):
    """Keeps decisions."""

    def load(self) -> list[Decision]:
        """All decisions, the oldest first."""

    def add(self, decision: Decision) -> None:
        """Keep one more."""


class MemoryReviewStore:
    """Store of decisions in memory, for read-only projects."""

    def __init__(self) -> None:
        self._decisions: list[Decision] = []

    def load(self) -> list[Decision]:
        """All decisions, the oldest first."""
        return list(self._decisions)

    def add(self, decision: Decision) -> None:
        """Keep one more."""
        self._decisions.append(decision)


class FileReviewStore:
    """A line of JSON a decision; each is on the disk when `add` returns, and a line torn by a kill is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[Decision]:
        """All decisions, the oldest first.

        Raises
        ------
        ProjectError
            If the file cannot be read.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._trouble(error) from error
        return [decision for line in lines if (decision := _parsed(line)) is not None]

    def add(self, decision: Decision) -> None:
        """Keep one more.

        Raises
        ------
        ProjectError
            If the disk refuses.
        """
        try:
            with self._path.open("ab") as file:
                # On a line of its own, whatever a kill left behind before it.
                file.write(f"\n{json.dumps(asdict(decision))}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> ProjectError:
        return ProjectError(
            f"The answers of the review in {self._path} could not be read or written: {error.strerror or error}.",
            "Free space on the disk or check its permissions; segments and edits are not in it and are intact.",
        )


def _parsed(line: bytes) -> Decision | None:
    try:
        value = json.loads(line)
        decision = Decision(
            int(value["first"]), int(value["second"]), value["answer"], float(value["score"]), float(value["share"])
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return decision if decision.answer in _ANSWERS else None
