"""Coverage-guided fuzzing of one parser: `python -m tests.hostile.fuzz a_uri --seconds 60`, or `all`.

It runs libFuzzer by atheris, begins with the seeds, and keeps what it found in a folder (`--corpus`).  An input that
breaks the property is written to `crash-…` there; the exit code is then not 0.  It is no test of the suite: it looks
for new ones.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

_TRACED = ("staging_protocol", "staging_io", "staging_server", "resolver", "submission", "zipfile", "tarfile", "email")


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("property", help="name of a property in tests/hostile/parsers.py, or all")
    parser.add_argument("--seconds", type=int, default=60, help="time for each")
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "spark-staging-fuzz")
    asked = parser.parse_args()
    if asked.property == "all":
        return _all(seconds=asked.seconds, corpus=asked.corpus)
    _fuzz(asked.property, seconds=asked.seconds, corpus=asked.corpus / asked.property)
    return 0


def _all(*, seconds: int, corpus: Path) -> int:
    from tests.hostile.seeds import SEEDS

    broken = []
    for name in SEEDS:
        command = [sys.executable, "-m", "tests.hostile.fuzz", name, "--seconds", str(seconds), "--corpus", str(corpus)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        last = next(
            (line for line in reversed(done.stderr.splitlines()) if "exec/s" in line or line.startswith("Done")), ""
        )
        print(f"{name:20} {'BROKEN' if done.returncode else 'ok':8} {last}", flush=True)  # noqa: T201 - it is a program
        if done.returncode:
            broken.append(name)
            print(done.stderr[-3000:], flush=True)  # noqa: T201 - as above
    return 1 if broken else 0


def _fuzz(name: str, *, seconds: int, corpus: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=list(_TRACED)):
        from tests.hostile.parsers import PROPERTIES
    from tests.hostile.seeds import SEEDS

    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/", str(corpus)], PROPERTIES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
