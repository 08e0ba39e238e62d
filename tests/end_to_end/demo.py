"""`make demo`: the main job on this machine, with a server, a folder and SQLite, on loopback.

It stages a job's files, resolves them as a pod would, stages them again, damages a byte, and lets a bundle expire.
Each step checks what it shows; the demo ends with 0 only when all is as it says.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from staging_protocol.errors import ExitCode
from tests.end_to_end.jobs import MIB, dependency_options, make_job
from tests.end_to_end.programs import Server, run, running

_TIME_TO_LIVE: Final = 3
"""Seconds, instead of seven days, so that a bundle can be seen to expire."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The server, the job's files and the folder that stands for a pod's volumes."""

    server: Server
    job: Path
    pod: Path

    def cli(self, *arguments: str | Path) -> tuple[int, str, str]:
        environment = {"SPARK_STAGING_URL": self.server.url, "XDG_CACHE_HOME": str(self.job.parent / "cache")}
        done = run("spark-staging", *arguments, environment=environment)
        return done.returncode, done.stdout, done.stderr

    def stage(self) -> dict[str, Any]:
        code, out, err = self.cli(
            "stage", "--name", "nightly", "--output", "json", "--bundle-token-file", self.job.parent / "token",
            *dependency_options(self.job),
        )  # fmt: skip
        _expect(code == 0, err)
        return dict(json.loads(out))

    def resolve(self, bundle: str, *, into: str) -> tuple[int, str, str]:
        return self.cli(
            "resolve", f"bundle:{bundle}", "--token-file", self.job.parent / "token", "--into", self.pod / into
        )


def main() -> int:
    """Show the main job; return an exit code."""
    with tempfile.TemporaryDirectory(prefix="spark-staging-demo-") as name:
        folder = Path(name)
        demo = Demo(server=_server(folder), job=make_job(folder / "job"), pod=folder / "pod")
        with running(demo.server):
            bundle = _show_staging(demo)
            _show_resolving(demo, bundle)
            _show_resubmission(demo)
            _show_damage(demo)
            _show_expiry(demo)
    return 0


def _server(folder: Path) -> Server:
    retention = {
        "RETENTION__TIME_TO_LIVE": str(_TIME_TO_LIVE),
        "RETENTION__MIN_AGE": "0.1",
        "RETENTION__SWEEP_EVERY": "0.5",
    }
    return Server(folder=folder / "server", settings=retention)


def _show_staging(demo: Demo) -> str:
    staged = demo.stage()
    _say(
        "staged",
        f"{len(staged['files'])} files, {_bytes(staged['bytes_staged'])} in {staged['seconds']:.2f} s",
        staged["bundle"],
    )
    return str(staged["bundle"])


def _show_resolving(demo: Demo, bundle: str) -> None:
    code, out, err = demo.resolve(bundle, into="driver")
    _expect(code == 0, err)
    _say("resolved", "every file verified before it was visible", "")
    sys.stdout.write("".join(f"             {line}\n" for line in out.splitlines()))


def _show_resubmission(demo: Demo) -> None:
    again = demo.stage()
    _expect(again["requests"] == 1 and again["bytes_staged"] == 0, f"unexpected traffic: {again}")
    _say(
        "resubmitted",
        f"{again['requests']} request, {again['bytes_staged']} file bytes, {again['seconds']:.2f} s",
        again["bundle"],
    )


def _show_damage(demo: Demo) -> None:
    blob = max((demo.server.folder / "data").rglob("sha256/*/*"), key=lambda path: path.stat().st_size)
    with blob.open("r+b") as content:
        first = content.read(1)
        content.seek(0)
        content.write(bytes([first[0] ^ 1]))
    code, _, err = demo.resolve(demo.stage()["bundle"], into="damaged")
    _expect(code == ExitCode.DIGEST_MISMATCH, f"exit code {code}: {err}")
    _expect(
        not any("library.jar" in name for _, _, names in os.walk(demo.pod / "damaged") for name in names), "visible!"
    )
    _say("flipped bit", f"refused with exit code {code}", err.strip().splitlines()[-1])


def _show_expiry(demo: Demo) -> None:
    bundle, deadline = demo.stage()["bundle"], time.monotonic() + 30
    code, err = 0, ""
    while code != ExitCode.BUNDLE_EXPIRED and time.monotonic() < deadline:
        time.sleep(_TIME_TO_LIVE + 1)  # reading is activity, which renews the time to live
        code, _, err = demo.resolve(bundle, into="expired")
    _expect(code == ExitCode.BUNDLE_EXPIRED, f"exit code {code}: {err}")
    _say("expired", f"410, exit code {code}", err.strip().splitlines()[-1])


def _say(what: str, how: str, detail: str) -> None:
    sys.stdout.write(f"{what:12} {how}\n" + (f"             {detail}\n" if detail else ""))


def _bytes(count: int) -> str:
    return f"{count / MIB:.1f} MiB"


def _expect(truth: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not truth:
        sys.stderr.write(f"demo: not as it should be: {otherwise}\n")
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
