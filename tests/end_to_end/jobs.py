"""The local files of a job, as a person has them."""

import os
import tarfile
import zipfile
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024


def make_job(folder: Path, *, jar_size: int = 24 * MIB) -> Path:
    """Make a main file, a jar of random bytes, a zip of modules, a data file and an archive; return the folder."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "library.jar", "w") as jar:
        jar.writestr("com/example/Library.class", os.urandom(jar_size))
    with zipfile.ZipFile(folder / "rules.zip", "w") as package:
        package.writestr("rules/__init__.py", "LIMIT = 3\n")
    (folder / "nightly.py").write_text("print('a job')\n")
    (folder / "prices.csv").write_text("item,price\n" + "".join(f"{number},{number * 3}\n" for number in range(50_000)))
    _make_archive(folder / "env.tar.gz")
    return folder


def _make_archive(path: Path) -> None:
    """A tool with a relative link to it, as packed environments have them."""
    folder = path.parent / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tool-1.0").write_text("#!/bin/sh\necho tool\n")
    (folder / "bin" / "tool-1.0").chmod(0o755)
    (folder / "bin" / "tool").symlink_to("tool-1.0")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=".")


def dependency_options(job: Path) -> list[str]:
    """What `spark-staging stage` and spark-submit are given for the job, main file last."""
    return [
        *("--jars", str(job / "library.jar")),
        *("--py-files", str(job / "rules.zip")),
        *("--files", str(job / "prices.csv")),
        *("--archives", f"{job / 'env.tar.gz'}#env"),
        str(job / "nightly.py"),
    ]
