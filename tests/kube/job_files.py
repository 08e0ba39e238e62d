"""Makes the dependencies of the two probe jobs; each has a random marker that exists nowhere else.

A job reports the markers that it found by *using* its dependencies: classes call into the jar, Python imports the
module and the package, the archive's interpreter runs.  So a right marker
proves that this very file was there and worked.
"""

import io
import secrets
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.kube.processes import MissingError, run
from tests.services.spark_distributions import Spark

SOURCES: Final = Path(__file__).parent / "jobs"
JAVA_RELEASE: Final = "17"
PACKER: Final = SOURCES / "python" / "pack_interpreter.py"


@dataclass(frozen=True, kw_only=True)
class JobFiles:
    """The files of one job, all submitter-local, and the marker of each kind as the job reports it."""

    language: str
    main: Path
    jar: Path
    module: Path
    package: Path
    archive: Path
    file: Path
    markers: Mapping[str, str]

    def paths(self) -> tuple[Path, ...]:
        """Return every file that has to be staged."""
        return (self.main, self.jar, self.module, self.package, self.archive, self.file)


def make_job_files(folder: Path, *, language: str, spark: Spark, interpreter: bytes) -> JobFiles:
    """Write the dependencies of the Java or the Python job into an empty folder.

    `interpreter` is the archive that `pack_interpreter.py` made in a pod.
    """
    markers = {
        name: f"{name}-{secrets.token_hex(8)}" for name in ("main", "jar", "module", "package", "archive", "file")
    }
    build = folder / "build"
    dependency = _compile(SOURCES / "java" / "dependency", into=build / "dependency", class_path=[spark.class_path])
    files = JobFiles(
        language=language,
        main=_python_main(folder, marker=markers["main"])
        if language == "python"
        else _java_main(folder, dependency=dependency, spark=spark, marker=markers["main"]),
        jar=_jar(
            folder / "probe-dependency.jar",
            classes=dependency,
            resources={"probe/dependency/marker": markers["jar"]},
        ),
        module=_write(folder / "probe_module.py", f'MARKER = "{markers["module"]}"\n'),
        package=_zip(folder / "probe_package.zip", {"probe_package/__init__.py": f'MARKER = "{markers["package"]}"\n'}),
        archive=_archive(folder / "probe_env.tar.gz", interpreter=interpreter, marker=markers["archive"]),
        file=_write(folder / "probe.csv", f"{markers['file']}\n"),
        markers=markers,
    )
    shutil.rmtree(build)
    return files


def _python_main(folder: Path, *, marker: str) -> Path:
    source = (SOURCES / "python" / "main.py").read_text()
    return _write(folder / "probe_main.py", source.replace("@MARKER@", marker))


def _java_main(folder: Path, *, dependency: Path, spark: Spark, marker: str) -> Path:
    class_path = [spark.class_path, str(dependency)]
    classes = _compile(SOURCES / "java" / "job", into=folder / "build" / "job", class_path=class_path)
    return _jar(folder / "probe-job.jar", classes=classes, resources={"probe/marker": marker})


def _compile(sources: Path, *, into: Path, class_path: list[str]) -> Path:
    into.mkdir(parents=True)
    files = [str(path) for path in sorted(sources.rglob("*.java"))]
    options = ("-nowarn", "--release", JAVA_RELEASE, "-cp", ":".join(class_path), "-d", str(into))
    run(*find_compiler(), *options, *files)
    return into


def find_compiler() -> tuple[str, ...]:
    """Return the command of a Java compiler.

    Raises:
        MissingError: there is none.
    """
    if shutil.which("javac"):
        return ("javac",)
    # Many runtimes carry the compiler as a module, without its command.
    if shutil.which("java") and "jdk.compiler" in run("java", "--list-modules").decode():
        return ("java", "--module", "jdk.compiler/com.sun.tools.javac.Main")
    raise MissingError("no Java compiler: install a JDK 17 (Debian: openjdk-17-jdk-headless)")


def _jar(target: Path, *, classes: Path, resources: Mapping[str, str]) -> Path:
    members: dict[str, bytes | str] = {
        str(path.relative_to(classes)): path.read_bytes() for path in sorted(classes.rglob("*.class"))
    }
    return _zip(target, {**members, **resources})


def _zip(target: Path, members: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return target


def _archive(target: Path, *, interpreter: bytes, marker: str) -> Path:
    """Add a module to the packed interpreter that no other Python has."""
    with (
        tarfile.open(fileobj=io.BytesIO(interpreter), mode="r:gz") as packed,
        tarfile.open(target, "w:gz", compresslevel=1) as archive,
    ):
        members = packed.getmembers()
        for member in members:
            archive.addfile(member, packed.extractfile(member) if member.isreg() else None)
        library = next(member.name for member in members if member.name.endswith("/os.py")).removesuffix("os.py")
        content = f'MARKER = "{marker}"\n'.encode()
        module = tarfile.TarInfo(f"{library}probe_env.py")
        module.size = len(content)
        archive.addfile(module, io.BytesIO(content))
    return target


def _write(target: Path, text: str) -> Path:
    target.write_text(text)
    return target
