"""The command lines of `cases.yaml`, and the files that every one of them can name."""

import io
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.services.spark_distributions import ALL_VERSIONS, SPARK_VERSIONS

_PI: Final = ("--class", "org.apache.spark.examples.SparkPi", "local:///opt/spark/examples/jars/spark-examples.jar")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One command line.

    Attributes:
        name: of its golden file.
        arguments: of spark-submit, main resource and the application's own included.
        files: what lies in the folder besides `FILES`.
        environment: variables besides those of every case; None takes one away.
        versions: of Spark, where the command means something.
    """

    name: str
    arguments: tuple[str, ...]
    files: Mapping[str, bytes]
    environment: Mapping[str, str | None]
    versions: tuple[str, ...]

    def lay_out(self, folder: Path) -> None:
        """Write the files of the case into `folder`."""
        for name, content in {**FILES, **self.files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _jar_with_main_class(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\nMain-Class: {name}\r\n\r\n")
    return content.getvalue()


FILES: Final[Mapping[str, bytes]] = {
    "app.jar": _jar_with_main_class("demo.InManifest"),
    "lib/a.jar": b"a",
    "lib/b.jar": b"b",
    "main.py": b"print(1)\n",
    "job.R": b"print(1)\n",
    "util.py": b"x = 1\n",
    "pkg.zip": b"zip",
    "data.csv": b"1,2\n",
    "env.tar.gz": b"tar",
}
"""What every case can name."""


def _case(row: dict[str, Any]) -> Case:
    words = [_PI if word == "PI" else (word,) for word in shlex.split(row["command"])]
    return Case(
        name=row["name"],
        arguments=tuple(argument for word in words for argument in word),
        files={name: text if isinstance(text, bytes) else text.encode() for name, text in row.get("files", {}).items()},
        environment=row.get("environment", {}),
        versions=tuple(row.get("versions", ALL_VERSIONS if row.get("everywhere") else SPARK_VERSIONS)),
    )


CASES: Final = tuple(map(_case, yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))))
