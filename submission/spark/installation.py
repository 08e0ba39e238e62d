"""The Spark installation behind a `spark-submit`, if there is one: its version, and the properties that it would read.

Without one, a folder of `SPARK_CONF_DIR` still counts, and the version is what the person or the image's tag says.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.settings import Environment
from submission.spark.command_line import Options
from submission.spark.conf import SparkVersion
from submission.spark.properties import parse_properties

_CORE: Final = re.compile(r"spark-core_[\d.]+-(\d+\.\d+[^/]*)\.jar")
_RELEASE: Final = re.compile(r"Spark (\d+\.\d+\S*)")
_SUPPORTED: Final = r"((?:3\.[4-9]|4\.\d+)(?:\.\d+)?)(?![\d.])"
_TAG: Final = re.compile(rf"v?{_SUPPORTED}")
_IN_TAG: Final = re.compile(rf"spark[-_v]*{_SUPPORTED}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A found installation; what could not be found is None."""

    program: str | None
    home: Path | None
    conf: Path | None

    @property
    def version(self) -> SparkVersion | None:
        """The version, by the name of its core jar or by the file RELEASE."""
        if self.home is None:
            return None
        for jar in sorted((self.home / "jars").glob("spark-core_*.jar")):
            match = _CORE.fullmatch(jar.name)
            if match is not None:
                return SparkVersion.parse(match[1])
        release = self.home / "RELEASE"
        match = _RELEASE.match(release.read_text(encoding="utf-8")) if release.is_file() else None
        return None if match is None else SparkVersion.parse(match[1])

    def properties(self, command: Options) -> dict[str, str]:
        """Return the properties of the files that `command` makes Spark read.

        Raises:
            InvalidRequest: the `--properties-file` cannot be read.
        """
        named = command.last("--properties-file")
        usual = None if self.conf is None else self.conf / "spark-defaults.conf"
        defaults = _read(usual) if usual is not None and usual.is_file() else {}
        if named is None:
            return defaults
        return {**(defaults if command.has("--load-spark-defaults") else {}), **_read(Path(named))}


def installation(program: str, environment: Environment) -> Installation:
    """Return the installation whose `spark-submit` is `program`.

    Raises:
        InvalidRequest: there is no such program.
    """
    path = shutil.which(program, path=environment.path)
    if path is None:
        msg = f"{program} is not a program that can be run; give its path, or set PATH"
        raise InvalidRequest(msg)
    home = environment.spark_home or _home_of(Path(path))
    conf = environment.spark_conf or (None if home is None else home / "conf")
    return Installation(program=path, home=home, conf=conf)


def any_installation(environment: Environment) -> Installation:
    """Return what there is of Spark: `SPARK_HOME`, else the installation of the `spark-submit` on `PATH`, else none."""
    path = shutil.which("spark-submit", path=environment.path)
    home = environment.spark_home or (None if path is None else _home_of(Path(path)))
    conf = environment.spark_conf or (None if home is None else home / "conf")
    return Installation(program=None, home=home, conf=conf)


def known_version(given: str | None, found: SparkVersion | None) -> SparkVersion:
    """Return the version of Spark that the person gave, or that was found.

    Raises:
        InvalidRequest: neither is known.
    """
    if given is not None:
        return SparkVersion.parse(given)
    if found is None:
        raise InvalidRequest(
            "the version of Spark is not known here; give --spark-version X.Y as it is in the image, or set SPARK_HOME"
        )
    return found


def version_of_image(image: str) -> SparkVersion | None:
    """Return the version that the name of an image tells: `apache/spark:4.3.0-java17`, `etl:12-spark-3.5.9`."""
    name = image.partition("@")[0].rpartition("/")[2]
    repository, _, tag = name.partition(":")
    match = _IN_TAG.search(tag) or (_TAG.match(tag) if "spark" in repository.lower() else None)
    return None if match is None else SparkVersion.parse(match[1])


def _home_of(program: Path) -> Path | None:
    """Return the folder of the installation: above the program's `bin`, or a virtual environment's pyspark package."""
    for above in (program.parent.parent, program.resolve().parent.parent):
        candidates = [above, *sorted(above.glob("lib/python*/site-packages/pyspark"))]
        for candidate in candidates:
            if (candidate / "jars").is_dir() or (candidate / "RELEASE").is_file():
                return candidate
    return None


def _read(path: Path) -> dict[str, str]:
    try:
        return parse_properties(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the properties file {path} cannot be read: {error}"
        raise InvalidRequest(msg) from error
