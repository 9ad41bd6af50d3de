"""Controller of the Data panel: open and make projects, change classes and held-out boxes, import labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.panels.data.sample_project import default_folder, open_sample_in
from napari_pytc.ui.tasks.background import readable
from napari_pytc.ui.widgets.flags import LABELS, error_in_window, in_window
from napari_pytc.ui.widgets.progress import ImportCancelled
from napari_pytc.ui.workspace import Workspace

if TYPE_CHECKING:
    # What reads volumes takes a while to import: the work that needs it does so.
    from napari_pytc.jobs.context import ProgressCallback
    from napari_pytc.session.session import Session
    from napari_pytc.ui.panels.data.inspect_labels import LabelFile, LabelImport
    from napari_pytc.volumes.inspection import VolumeInfo
    from napari_pytc.volumes.spec import ReadOptions

_READ_ONLY = "the project is open for reading only."
_NO_IMAGE = "the image is missing; find it first."


_Imported = tuple[Box, str, tuple[str, ...]]
"""The box that was written, the result in a sentence, and notes on what was assumed."""


@dataclass(frozen=True)
class _StartedImport:
    """Labels on their way from a file into a project.

    Parameters
    ----------
    work : callable
        For the helper thread.
    announce : callable
        Notifies the session's listeners of a box whose labels have changed.
    """

    work: Callable[[], _Imported]
    announce: Callable[[Box], object]


class DataController(QObject):
    """The project that is open, and the ways to another one.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the project; also the Qt parent.
    """

    reason_changed = Signal()
    """`reason` is another one."""
    counted = Signal(dict)
    """Annotated voxels by the names of the classes."""
    import_ended = Signal()
    remarked = Signal(str, str)
    """Result of an import, and a hint."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.workspace = workspace
        self._changing = ""
        self._n_counts = 0
        workspace.session_changed.connect(self._on_session)
        workspace.classes_changed.connect(self.count)
        workspace.strokes_changed.connect(self.count)

    # ---- projects

    def open_again(self) -> None:
        """Open the project again, perhaps for editing this time."""
        if self.workspace.session is not None:
            self.workspace.open_project(self.workspace.session.folder)

    def open_sample(self) -> None:
        """Open the sample's project, which is made the first time."""
        try:
            open_sample_in(self.workspace, default_folder())
        except (PytcError, OSError) as error:
            self.workspace.failed.emit(readable(error))

    def find_recent(self, then: Callable[[list[Path]], object]) -> None:
        """Call `then` with the projects opened lately that are still there."""
        self.workspace.background.run(self.workspace.recent.folders, then)

    def relink(self, where: str) -> None:
        """Set the path of the project's image, ``PATH[:DATASET]``, then open the project anew."""
        session = self.workspace.session
        if session is None:
            return
        folder = session.folder
        self.workspace.close_project()

        def work() -> None:
            from napari_pytc.session.session import Session

            with Session.open(folder) as opened:  # in the helper thread: it looks at voxels
                opened.image.relink(where)

        def fail(error: PytcError) -> None:
            self.workspace.open_project(folder)
            self.workspace.failed.emit(error)

        self.workspace.background.run(work, lambda result: self.workspace.open_project(folder), fail)

    def describe_file(self, path: str, then: Callable[[VolumeInfo], object], receiver: QObject) -> None:
        """Look into a file in the helper thread, then call `then`."""
        from napari_pytc.volumes.inspection import describe_volume

        workspace = self.workspace
        workspace.background.run(lambda: describe_volume(path), then, workspace.failed.emit, receiver=receiver)

    def inspect_labels(
        self,
        where: str,
        then: Callable[[LabelFile], object],
        receiver: QObject,
        options: ReadOptions | None = None,
    ) -> None:
        """Look into a label file in the helper thread, then call `then`."""
        from napari_pytc.ui.panels.data.inspect_labels import inspect_labels

        workspace = self.workspace
        workspace.background.run(lambda: inspect_labels(where, options), then, workspace.failed.emit, receiver=receiver)

    # ---- changes

    @property
    def reason(self) -> str:
        """Reason why nothing can be changed now, as the rest of a sentence; empty if it can."""
        session = self.workspace.session
        if session is None:
            return "no project is open."
        if session.project.read_only:
            return _READ_ONLY
        return self._changing or (_NO_IMAGE if self.workspace.layers is None else "")

    @property
    def relink_reason(self) -> str:
        """Reason why the image cannot be searched for; empty if it can."""
        session = self.workspace.session
        return _READ_ONLY if session is not None and session.project.read_only else ""

    def count(self) -> None:
        """Count the annotated voxels; `counted` is emitted with the numbers."""
        session = self.workspace.session
        if session is None:
            return
        self._n_counts += 1
        number = self._n_counts

        def show(counts: dict[str, int]) -> None:
            if number == self._n_counts and self.workspace.session is session:
                self.counted.emit(counts)

        self.workspace.background.run(session.strokes.counts, show, lambda error: None, receiver=self)

    # ---- classes

    def choose_class(self, number: int) -> None:
        """Take a class into the brush, 0 to erase."""
        if self.workspace.layers is not None:
            self.workspace.layers.choose_class(number)

    def add_class(self, name: str) -> None:
        """Add a class."""
        self._change(lambda session: session.classes.add(name))

    def rename_class(self, number: int, name: str) -> None:
        """Give a class another name."""
        self._change(lambda session: session.classes.rename(number, name))

    def recolour_class(self, number: int, colour: str) -> None:
        """Give a class another colour, "#rrggbb"."""
        self._change(lambda session: session.classes.recolour(number, colour))

    def remove_class(self, number: int) -> None:
        """Remove a class and erase its strokes in the helper thread; painting is not possible meanwhile."""
        session, layers, workspace = self.workspace.session, self.workspace.layers, self.workspace
        if session is None or layers is None:
            return

        def end() -> None:
            self._set_changing("")
            if workspace.layers is layers:
                layers.allow_painting(True)

        def fail(error: PytcError) -> None:
            end()
            workspace.failed.emit(error)

        def start() -> None:
            plan = workspace.attempt(lambda: session.classes.plan_removal(number))
            if plan is None:
                end()
                return

            def finish(result: object) -> None:
                if workspace.session is session:
                    workspace.attempt(lambda: session.classes.finish_removal(plan))
                end()

            workspace.background.run(plan.run, finish, fail)

        self._set_changing("a class is being removed.")
        layers.allow_painting(False)
        layers.flush(start, fail)

    # ---- held-out boxes

    def hold_out(self) -> None:
        """Keep the drawn box out of training."""
        box = self.workspace.drawn_box.find()
        if box is None:
            hint = "Press Draw box, then drag a rectangle on the canvas in 2D."
            self.workspace.failed.emit(InvalidInput("No box is drawn.", hint))
        else:
            self._change(lambda session: session.held_out.add(box))

    def release(self, box: Box) -> None:
        """Give a held-out box back to training."""
        self._change(lambda session: session.held_out.release(box))

    def allow_painting(self, box: Box, allowed: bool) -> None:
        """Whether strokes in a held-out box are kept: they are its truth, by which models are scored."""
        self._change(lambda session: session.held_out.allow_painting(box, allowed))

    # ---- labels of files

    def import_strokes(self, where: str, how: LabelImport, report: ProgressCallback) -> None:
        """Add labels to the strokes: 0 = not annotated, k = the k-th class, or the one that the file names so.

        Parameters
        ----------
        where : str
            ``PATH[:DATASET]``.
        how : LabelImport
            How it is read, where its labels lie, and what their values mean.
        report : callable
            Called in the helper thread with the steps done and their total.
        """

        def prepare(session: Session) -> _StartedImport:
            add = session.strokes.importer()

            def work() -> _Imported:
                from napari_pytc.volumes.opening import open_labels

                added = add(open_labels(where, how.options), how.transform, report)
                return added.box, f"{added.total:,} voxels were labelled.", added.notes

            return _StartedImport(work, session.strokes.changed.emit)

        self._import(prepare)

    def import_objects(self, where: str, how: LabelImport, report: ProgressCallback) -> None:
        """Add objects to those that are marked: 0 = not annotated, or if dense no object; else an object's id.

        Parameters
        ----------
        where, how, report :
            As of `import_strokes`.
        """

        def prepare(session: Session) -> _StartedImport:
            add = session.objects.importer()

            def work() -> _Imported:
                from napari_pytc.volumes.opening import open_labels

                added = add(open_labels(where, how.options), how.transform, report)
                marked = "1 object" if added.n_objects == 1 else f"{added.n_objects:,} objects"
                verb = "was" if added.n_objects == 1 else "were"
                return added.box, f"{marked} of {added.n_voxels:,} voxels {verb} marked.", added.notes

            return _StartedImport(work, session.objects.changed.emit)

        self._import(prepare)

    # ---- private

    def _on_session(self) -> None:
        self._changing = ""

    def _set_changing(self, why: str) -> None:
        self._changing = why
        self.reason_changed.emit()

    def _change(self, change: Callable[[Session], object]) -> None:
        session = self.workspace.session
        if session is not None:
            self.workspace.attempt(lambda: change(session))

    def _import(self, prepare: Callable[[Session], _StartedImport]) -> None:
        """Import in the helper thread, while nothing else is changed."""
        session, layers, workspace = self.workspace.session, self.workspace.layers, self.workspace
        if session is None or layers is None:
            return

        def end() -> None:
            if workspace.session is session:
                self.import_ended.emit()
                self._set_changing("")

        def fail(error: PytcError) -> None:
            end()
            workspace.failed.emit(error)

        def start() -> None:
            found = workspace.attempt(lambda: prepare(session))
            if found is None:
                end()
                return

            def succeed(result: _Imported) -> None:
                end()
                if workspace.session is session:
                    found.announce(result[0])
                    self.remarked.emit(result[1], in_window("\n".join(result[2]), LABELS))

            def stop(error: PytcError) -> None:
                end()
                if workspace.session is session:
                    found.announce(Box.of_shape(session.strokes.store.shape))  # some of it may be there
                if isinstance(error, ImportCancelled):
                    self.remarked.emit(error.message, error.hint)
                else:
                    workspace.failed.emit(error_in_window(error, LABELS))

            workspace.background.run(found.work, succeed, stop)

        self._set_changing("labels are being imported.")
        layers.flush(start, fail)
