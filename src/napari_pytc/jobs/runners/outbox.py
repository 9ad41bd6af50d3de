"""A queue of lines for a pipe, so that the writer never waits for the reader."""

from __future__ import annotations

import os
import threading


class Outbox:
    """A thread that writes lines into a pipe in the order they were put.

    Parameters
    ----------
    pipe : int
        File descriptor of the writing end; closed by `close`, or when the reading end is gone.
    name : str
        Of the thread.
    """

    def __init__(self, pipe: int, name: str) -> None:
        self._pipe = pipe
        self._changed = threading.Condition()
        self._lines: dict[str | int, bytes] = {}
        self._n_put = 0
        self._closing = False
        self._thread = threading.Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    def put(self, line: bytes, slot: str | None = None) -> None:
        """Add a line; of those with the same slot only the newest is sent, at its own place in the order."""
        with self._changed:
            if self._closing:
                return
            self._n_put += 1
            if slot is not None:
                self._lines.pop(slot, None)
            self._lines[self._n_put if slot is None else slot] = line
            self._changed.notify()

    def close(self) -> None:
        """Take no more lines; once all are written, the pipe is closed."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the pipe is closed."""
        self._thread.join(timeout)

    def _write(self) -> None:
        try:
            while lines := self._wait_for_lines():
                rest = memoryview(b"".join(line + b"\n" for line in lines))
                while rest:
                    rest = rest[os.write(self._pipe, rest) :]
        except OSError:  # the reader is gone, which the other pipe shows, too
            self.close()
        finally:
            os.close(self._pipe)

    def _wait_for_lines(self) -> list[bytes]:
        """All pending lines, after a wait for them; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            lines = list(self._lines.values())
            self._lines.clear()
            return lines
