"""Tables of the report, and numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of a table; without names of columns it has no head."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @property
    def has_head(self) -> bool:
        """Whether the columns have names."""
        return any(self.columns)

    @property
    def is_number(self) -> list[bool]:
        """Whether each column holds numbers alone."""
        return [
            bool(self.rows) and all(isinstance(row[k], int | float) for row in self.rows)
            for k in range(len(self.columns))
        ]


def number(value: float | None) -> str:
    """A score as text; a dash for none."""
    return "-" if value is None else f"{value:.3f}"
