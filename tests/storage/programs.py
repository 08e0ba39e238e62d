"""The server as a process under strace."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from tests.crash.lives import environment_of
from tests.end_to_end.programs import Place
from tests.storage import trace

_PATIENCE = 120.0
"""Seconds for a start under strace on a busy machine."""


@dataclass(kw_only=True)
class Traced(Place):
    """`spark-staging-server serve`; with `traced`, everything it asks of the kernel is written to `output`."""

    traced: bool = True

    @property
    def output(self) -> Path:
        """The recording."""
        return self.folder / "trace"

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        prefix = trace.command(self.output) if self.traced else []
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "tests.storage.by_request_only", "serve"],
                env=environment_of(self.data, port=self.port), stdout=log, stderr=log,
            )  # fmt: skip
        deadline = monotonic() + _PATIENCE
        while not self.answers():
            if self._process.poll() is not None or monotonic() > deadline:
                self._process.kill()
                raise AssertionError(self.log.read_text())
            sleep(0.02)
        return self

    def __exit__(self, _t: type[BaseException] | None, _v: BaseException | None, _tb: TracebackType | None) -> None:
        # strace passes no signal on; its child is asked itself.
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        target = int(children[0]) if self.traced and children else self._process.pid
        subprocess.run(["kill", f"-{int(signal.SIGTERM)}", str(target)], check=True)
        self._process.wait(timeout=_PATIENCE)
