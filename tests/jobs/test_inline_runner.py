from __future__ import annotations

import threading

import pytest

from napari_pytc.jobs.events import Cancelled
from napari_pytc.jobs.runners import InlineRunner
from tests.support.jobs_for_tests import Count, Raise
from tests.support.runner_contract import RecordingSink, RunnerContract


class TestInlineRunner(RunnerContract):
    @pytest.fixture
    def runner(self) -> InlineRunner:
        return InlineRunner()

    def test_runs_and_emits_in_the_calling_thread(self, runner: InlineRunner) -> None:
        sink = RecordingSink()
        handle = runner.start(Count(), sink)
        assert sink.threads == {threading.get_ident()}
        assert handle.state == "finished"

    def test_ctrl_c_ends_the_job_and_goes_on(self, runner: InlineRunner) -> None:
        sink = RecordingSink()
        with pytest.raises(KeyboardInterrupt):
            runner.start(Raise(what="interrupt"), sink)
        assert isinstance(sink.events[-1], Cancelled)
        assert sink.names() == ["started", "cancelled"]
        assert runner.unfinished() == []
