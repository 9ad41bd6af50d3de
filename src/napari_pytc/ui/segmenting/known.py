"""What is known of a project's predictions, read off their files in the helper thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.session.records import PredictionRecord
from napari_pytc.ui.segmenting.choices import PredictionFacts, read_facts

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.ui.workspace import Workspace

_Found = tuple[dict[str, PredictionFacts], dict[str, PytcError], "dict[str, type[DecoderSettings]]"]


class KnownPredictions(QObject):
    """Facts of predictions by their ids, and what is wrong with those that cannot be read."""

    changed = Signal()

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._generation = 0
        self.facts: dict[str, PredictionFacts] = {}
        self.problems: dict[str, PytcError] = {}
        self.models: dict[str, type[DecoderSettings]] = {}
        """All decoders by kind."""

    def read(self, records: Sequence[PredictionRecord]) -> None:
        """Look at predictions; `changed` tells when that is done. An answer that was overtaken is dropped."""
        self._generation += 1
        generation, session = self._generation, self._workspace.session
        if session is None or not records:
            self.facts, self.problems = {}, {}
            self.changed.emit()
            return

        def look() -> _Found:
            from napari_pytc.decoding.base import DecoderSettings

            facts, problems = {}, {}
            for record in records:
                try:
                    facts[record.id] = read_facts(session, record)
                except PytcError as error:
                    problems[record.id] = error
            return facts, problems, DecoderSettings.variants()

        def put(found: _Found) -> None:
            if generation == self._generation:
                self.facts, self.problems, self.models = found
                self.changed.emit()

        self._workspace.background.run(look, put, self._workspace.failed.emit, receiver=self)
