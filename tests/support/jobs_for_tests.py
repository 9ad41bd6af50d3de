"""Small kinds of jobs, each with one behaviour; a worker process finds them by `imports=[JOBS_FOR_TESTS]`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec

JOBS_FOR_TESTS = __name__


class Count(JobSpec):
    """Tells everything a job can tell, and its outcome."""

    kind: Literal["test-count"] = "test-count"
    n: int = 3

    def run(self, ctx: JobContext) -> dict[str, Any]:
        for step in range(self.n):
            ctx.check()
            ctx.metric("loss", step, 1 / (step + 1))
            ctx.artifact("prediction", Box.at((step, 0, 0), (1, 2, 3)))
        ctx.warn("a small doubt")
        ctx.report(self.n, self.n, "counted")
        return {"n": self.n, "folder": Path("model"), "pair": (1, 2.5), "pid": os.getpid()}


class Patient(JobSpec):
    """Goes on until it is cancelled, or until it is told to stop; its first event says that it is there."""

    kind: Literal["test-patient"] = "test-patient"

    def run(self, ctx: JobContext) -> dict[str, Any]:
        ctx.metric("here", 0, os.getpid())
        heard: list[str] = []
        while "stop" not in heard:
            ctx.check()
            heard += [message.topic for message in ctx.messages()]
            time.sleep(0.005)
        return {"heard": heard}


class Deaf(JobSpec):
    """Never checks whether it was cancelled, and blocks signals short of SIGKILL."""

    kind: Literal["test-deaf"] = "test-deaf"
    child: bool = False

    def run(self, ctx: JobContext) -> dict[str, Any]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pid = os.getpid()
        if self.child:
            pid = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False).pid
        ctx.metric("here", 0, pid)
        time.sleep(600)
        return {}


class Die(JobSpec):
    """Ends its process when it is told to, and so after its start was told: by a signal, or with an exit code."""

    kind: Literal["test-die"] = "test-die"
    by: int

    def run(self, ctx: JobContext) -> dict[str, Any]:
        sys.stderr.write("the last words\n")
        ctx.metric("here", 0, os.getpid())
        while not list(ctx.messages()):
            time.sleep(0.005)
        if self.by >= 0:
            os._exit(self.by)
        os.kill(os.getpid(), -self.by)
        time.sleep(600)
        return {}


class Raise(JobSpec):
    """Ends in an error."""

    kind: Literal["test-raise"] = "test-raise"
    what: Literal["user", "other", "exit", "interrupt"]

    def run(self, ctx: JobContext) -> dict[str, Any]:
        if self.what == "user":
            raise ModelError("The model has 3 classes, the project 2.", "Choose another model.")
        if self.what == "exit":
            sys.exit(7)
        if self.what == "interrupt":
            raise KeyboardInterrupt
        raise ValueError("first line\nsecond line")


class Return(JobSpec):
    """Gives back what no JSON can hold, or what is no dict."""

    kind: Literal["test-return"] = "test-return"
    what: Literal["object", "number"]

    def run(self, ctx: JobContext) -> dict[str, Any]:
        return {"object": {"object": object()}, "number": 5}[self.what]  # type: ignore[return-value]


class Flood(JobSpec):
    """Reports faster than anybody reads."""

    kind: Literal["test-flood"] = "test-flood"
    n: int = 20000

    def run(self, ctx: JobContext) -> dict[str, Any]:
        for done in range(self.n):
            ctx.report(done, self.n)
            if done % 5000 == 0:
                ctx.metric("mark", done, done)
        return {}


class Print(JobSpec):
    """Prints to the streams and tells where numbers come from."""

    kind: Literal["test-print"] = "test-print"

    def run(self, ctx: JobContext) -> dict[str, Any]:
        sys.stdout.write("to stdout: µm\n")
        os.write(1, b"to file descriptor 1\n")
        priority = os.getpriority(os.PRIO_PROCESS, 0) if sys.platform != "win32" else 0
        return {
            "input": sys.stdin.read(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "niceness": priority,
            "loaded": [name for name in ("colorsys", "this_is_missing") if name in sys.modules],
        }
