"""Hadoop's NameNode and DataNode as jars in the user's cache folder, fetched from package registries.

The source package of pyspark 2.4.8 on PyPI has the servers of Hadoop 2.7.3; newer ones have clients only.  What they
need besides, for WebHDFS, is Jersey 1 of Debian 12.  Nothing is installed, and no root is needed.
Of several runs one fetches, and the others wait; the folder appears by a rename, whole.
"""

import fcntl
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

_JARS: Final = Path.home() / ".cache" / "spark-staging" / "hadoop-2-7-3"

_FROM_PYPI: Final = "pyspark==2.4.8"
_FROM_DEBIAN: Final = {
    "libjersey1-core-java": "jersey1-core.jar",
    "libjersey1-server-java": "jersey1-server.jar",
    "libjersey1-servlet-java": "jersey1-servlet.jar",
    "libjsr311-api-java": "jsr311-api.jar",
}

_WANTED: Final = (
    "activation-", "commons-beanutils-", "commons-cli-", "commons-codec-", "commons-collections-",
    "commons-configuration-", "commons-digester-", "commons-httpclient-", "commons-io-", "commons-lang-2",
    "commons-logging-", "commons-net-", "guava-14", "hadoop-annotations-", "hadoop-auth-", "hadoop-common-",
    "hadoop-hdfs-", "htrace-core-", "httpclient-", "httpcore-", "jackson-core-asl-", "jackson-mapper-asl-",
    "javax.servlet-api-", "jaxb-api-", "jetty-6", "jetty-util-", "log4j-1.2", "netty-all-", "protobuf-java-",
    "slf4j-api-", "slf4j-log4j12-", "xercesImpl-",
)  # fmt: skip
"""What the two servers load; Jersey 2 and the newer JAX-RS of pyspark would hide Jersey 1."""


class HadoopMissing(Exception):
    """Hadoop is not on this machine and could not be fetched, or does not run here; the message says why."""


def fetch_hadoop() -> Path:
    """Return the folder of the jars, fetching them when they are not there.

    Raises:
        HadoopMissing: there is no Java, this is no Debian, or PyPI or Debian's package sources cannot be reached.
    """
    if shutil.which("java") is None:
        msg = "there is no java: install a JRE (Debian: openjdk-17-jre-headless)"
        raise HadoopMissing(msg)
    _JARS.parent.mkdir(parents=True, exist_ok=True)
    with _JARS.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _JARS.is_dir():
            with tempfile.TemporaryDirectory(dir=_JARS.parent) as folder:
                _fetch(Path(folder))
    return _JARS


def _fetch(folder: Path) -> None:
    jars = folder / "jars"
    # A server that finds no folder of its name below `webapps` on the class path does not start; empty ones do.
    for name in ("hdfs", "datanode"):
        (jars / "web" / "webapps" / name).mkdir(parents=True)
    _fetch_from_debian(folder, jars)
    _fetch_from_pypi(folder, jars)
    jars.rename(_JARS)


def _fetch_from_pypi(folder: Path, jars: Path) -> None:
    # Its setup.py asks for pypandoc, and today's has not got what it calls; 1.5 fails in a way that it expects.
    constraint = folder / "constraint"
    constraint.write_text("pypandoc<1.6\n")
    _run(
        # pip before 25 knows the first variable, pip since 25 the second one.
        "env", f"PIP_CONSTRAINT={constraint}", f"PIP_BUILD_CONSTRAINT={constraint}",
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pyspark", _FROM_PYPI,
        folder=folder,
    )  # fmt: skip
    (package,) = folder.glob("pyspark-*.tar.gz")
    with tarfile.open(package, "r|gz") as members:
        for member in members:
            name = Path(member.name).name
            if "/deps/jars/" in member.name and name.startswith(_WANTED) and (source := members.extractfile(member)):
                with (jars / name).open("wb") as target:
                    shutil.copyfileobj(source, target)


def _fetch_from_debian(folder: Path, jars: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        msg = "Hadoop needs libraries of Debian 12, and without apt-get and dpkg they cannot be fetched"
        raise HadoopMissing(msg)
    _run("apt-get", "download", *_FROM_DEBIAN, folder=folder)
    for package in folder.glob("*.deb"):
        _run("dpkg", "-x", str(package), "debian", folder=folder)
    for name in _FROM_DEBIAN.values():
        shutil.copy((folder / "debian/usr/share/java" / name).resolve(), jars / name)


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"Hadoop cannot be fetched: {' '.join(command[:4])} … says {done.stderr.strip()[-400:]}"
        raise HadoopMissing(msg)
