from __future__ import annotations

from collections.abc import Iterator

import pytest

from napari_pytc.jobs.runners import ProcessRunner
from tests.support.jobs_for_tests import JOBS_FOR_TESTS
from tests.support.runner_contract import RunnerContract


@pytest.mark.slow
class TestProcessRunner(RunnerContract):
    @pytest.fixture
    def runner(self) -> Iterator[ProcessRunner]:
        with ProcessRunner(imports=[JOBS_FOR_TESTS]) as runner:
            yield runner
