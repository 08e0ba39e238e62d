"""Whole commands: what goes in and what comes out, compared with golden files.

A golden file that is deleted is written again by the test, which then fails once, so that the difference is looked at.
"""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.tokens import BundleId
from submission.job_plan import plan
from submission.pods.patch import PodBundle
from submission.running.prepare import prepare
from submission.settings import Environment, Settings
from submission.spark.command_line import SWITCHES, WITH_VALUE, parse
from submission.staging.local_files import found

GOLDEN: Final = Path(__file__).parent / "golden"
MASTER: Final = ["--master", "k8s://https://127.0.0.1:6443"]
DEPENDENCIES: Final = [
    "--jars", "lib/b.jar,lib/a.jar,https://repo.invalid/r.jar", "--files", "conf/data.csv",
    "--archives", "env.tar.gz#env",
]  # fmt: skip
CLUSTER: Final = [*MASTER, "--deploy-mode", "cluster", "--name", "demo", "--num-executors", "2"]
JAVA: Final = ["--class", "demo.Main", "app.jar", "--jars", "10"]
PYTHON: Final = ["--py-files", "m.py,pkg.zip", "main.py", "ten"]
OWN_TEMPLATE: Final = """\
apiVersion: v1
kind: Pod
metadata: {labels: {team: blue}}
spec:
  securityContext: {fsGroup: 185}
  volumes: [{name: scratch, emptyDir: {}}]
  initContainers: [{name: mine, image: busybox}]
  containers:
  - {name: sidecar, image: busybox}
  - name: spark
    env: [{name: PYTHONPATH, value: /opt/own}]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
"""
OWN: Final = [
    "--conf", "spark.kubernetes.driver.podTemplateFile=own.yaml",
    "--conf", "spark.kubernetes.driver.podTemplateContainerName=spark",
    "--conf", "spark.kubernetes.executor.podTemplateFile=own.yaml",
    "--conf", "spark.kubernetes.executor.podTemplateContainerName=spark",
]  # fmt: skip
CASES: Final = {
    "java-3.5": ("3.5.9", [*CLUSTER, *DEPENDENCIES, *JAVA]),
    "java-4.3": ("4.3.0", [*CLUSTER, *DEPENDENCIES, *JAVA]),
    "java-4.3-own-templates": ("4.3.0", [*CLUSTER, *OWN, *DEPENDENCIES, *JAVA]),
    "java-4.3-client": ("4.3.0", [*MASTER, *DEPENDENCIES, *JAVA]),
    "java-4.3-no-spark-files": ("4.3.0", [*CLUSTER, *DEPENDENCIES, *JAVA]),
    "python-3.5": ("3.5.9", [*CLUSTER, *DEPENDENCIES, *PYTHON]),
    "python-4.3": ("4.3.0", [*CLUSTER, *DEPENDENCIES, *PYTHON]),
    "python-3.5-own-templates": ("3.5.9", [*CLUSTER, *OWN, *DEPENDENCIES, *PYTHON]),
    "python-4.3-own-templates": ("4.3.0", [*CLUSTER, *OWN, *DEPENDENCIES, *PYTHON]),
    "python-4.3-client": ("4.3.0", [*MASTER, *DEPENDENCIES, *PYTHON]),
}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files to stage, as the current one."""
    folder = tmp_path / "work"
    for name in ("lib/a.jar", "lib/b.jar", "conf/data.csv", "env.tar.gz", "app.jar", "main.py", "m.py", "pkg.zip"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
    (folder / "own.yaml").write_text(OWN_TEMPLATE)
    monkeypatch.chdir(folder)
    return folder


def spark(folder: Path, version: str, *, defaults: str = "") -> Environment:
    """An installation of Spark, as far as anything looks at it."""
    home = folder / f"spark-{version}"
    (home / "jars").mkdir(parents=True)
    (home / "jars" / f"spark-core_2.13-{version}.jar").touch()
    (home / "bin").mkdir()
    (home / "bin" / "spark-submit").write_text("#!/bin/sh\n")
    (home / "bin" / "spark-submit").chmod(0o755)
    (home / "conf").mkdir()
    (home / "conf" / "spark-defaults.conf").write_text(defaults)
    return Environment(
        spark_home=None,
        spark_conf=None,
        master=None,
        deploy_mode=None,
        path=str(home / "bin"),
        variables={"PYTHONPATH": "/theirs"},
    )


def prepared(
    arguments: list[str], *, environment: Environment, folder: Path, spark_files: bool = True
) -> tuple[list[str], str]:
    """The rewritten command, and the PYTHONPATH of the process."""
    folder.mkdir()
    job = plan(
        parse(["spark-submit", *arguments]),
        settings=Settings(),
        namespace=None,
        spark_version=None,
        spark_files=spark_files,
        environment=environment,
    )
    classified, local = found(list(job.dependencies))
    pods = PodBundle(
        id=BundleId("b" * 26),
        namespace=job.namespace,
        url="https://staging:8480",
        manifest_digest=Digest.of(b"manifest"),
        image="staging/init:1",
    )
    sizes = {file.dependency: file.version.size for file in local}
    result = prepare(job, classified=classified, sizes=sizes, pods=pods, folder=folder)
    return result.command.written(), result.environment["PYTHONPATH"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("work")
def test_commands_and_templates_are_as_they_were_checked(name: str, tmp_path: Path) -> None:
    version, arguments = CASES[name]
    folder = tmp_path / "written"

    command, python_path = prepared(
        arguments,
        environment=spark(tmp_path, version),
        folder=folder,
        spark_files=not name.endswith("no-spark-files"),
    )

    parts = [*command, f"# PYTHONPATH={python_path}"]
    parts += [f"\n# --- {path.name}\n{path.read_text()}" for path in sorted(folder.glob("*.yaml"))]
    text = ("\n".join(parts) + "\n").replace(str(folder), "FOLDER").replace(str(tmp_path), "TMP")
    golden = GOLDEN / f"{name}.txt"
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden.name} was not there; it is written, look at it")
    assert text == golden.read_text()


@pytest.mark.usefixtures("work")
def test_lists_in_the_defaults_are_staged_and_taken_out_of_the_file(tmp_path: Path) -> None:
    environment = spark(tmp_path, "4.3.0", defaults="spark.archives env.tar.gz#env\nspark.mine  a b\n")

    command, _ = prepared([*CLUSTER, *JAVA], environment=environment, folder=tmp_path / "written")

    assert command[command.index("--properties-file") + 1] == str(tmp_path / "written" / "spark.properties")
    assert (tmp_path / "written" / "spark.properties").read_text() == "spark.mine=a b\n"
    assert not any("archives" in argument for argument in command)


@pytest.mark.usefixtures("work")
def test_a_properties_file_without_lists_stays_as_it_is(work: Path, tmp_path: Path) -> None:
    (work / "mine.conf").write_text("spark.kubernetes.namespace jobs\n")

    command, _ = prepared(
        [*CLUSTER, "--properties-file", "mine.conf", *JAVA],
        environment=spark(tmp_path, "4.3.0"),
        folder=tmp_path / "written",
    )

    assert command[command.index("--properties-file") + 1] == "mine.conf"
    assert "value: jobs" in (tmp_path / "written" / "driver.yaml").read_text()


@pytest.mark.usefixtures("work")
def test_the_python_modules_of_a_driver_outside_are_seen_without_their_neighbours(tmp_path: Path) -> None:
    _, path = prepared([*MASTER, *PYTHON], environment=spark(tmp_path, "4.3.0"), folder=tmp_path / "written")

    modules, archive, theirs = path.split(":")
    assert [entry.name for entry in Path(modules).iterdir()] == ["m.py"]
    assert (Path(archive).name, theirs) == ("pkg.zip", "/theirs")


@pytest.mark.usefixtures("work")
def test_a_namespace_that_contradicts_the_command_is_an_error_naming_both(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"blue.*green"):
        plan(
            parse(["spark-submit", *CLUSTER, "--conf", "spark.kubernetes.namespace=green", *JAVA]),
            settings=Settings(),
            namespace="blue",
            spark_version="4.3",
            spark_files=True,
            environment=spark(tmp_path, "4.3.0"),
        )


@pytest.mark.usefixtures("work")
def test_a_version_that_cannot_be_found_has_to_be_given(tmp_path: Path) -> None:
    environment = spark(tmp_path, "4.3.0")
    for jar in tmp_path.glob("spark-4.3.0/jars/*"):
        jar.unlink()

    with pytest.raises(InvalidRequest, match="--spark-version"):
        prepared([*CLUSTER, *JAVA], environment=environment, folder=tmp_path / "written")


def test_a_distribution_is_recognized_by_its_release_file(tmp_path: Path) -> None:
    environment = spark(tmp_path, "3.5.1")
    (tmp_path / "spark-3.5.1" / "jars" / "spark-core_2.13-3.5.1.jar").unlink()
    (tmp_path / "spark-3.5.1" / "RELEASE").write_text("Spark 3.5.1 (git revision fd86f85) built for Hadoop 3.3.4\n")
    job = plan(
        parse(["spark-submit", *CLUSTER, *JAVA]),
        settings=Settings(),
        namespace=None,
        spark_version=None,
        spark_files=True,
        environment=environment,
    )

    assert str(job.spark) == "3.5"


OPTION = st.one_of(
    st.sampled_from(sorted(SWITCHES - {"--help", "--version", "--usage-error"})).map(lambda name: [name]),
    st.tuples(st.sampled_from(sorted(WITH_VALUE - {"--conf", "--kill", "--status"})), st.text(max_size=10)).map(list),
)


@given(st.lists(OPTION, max_size=8), st.lists(st.text(max_size=5), max_size=4))
def test_any_command_reads_back_as_it_is_written(options: list[list[str]], arguments: list[str]) -> None:
    written = ["spark-submit", *(part for option in options for part in option), "app.jar", *arguments]

    assert parse(written).written() == written
