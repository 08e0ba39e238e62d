"""Whole programs with dependencies in HDFS: the init container, and `resolve` that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from staging_io.files import hidden
from staging_protocol import pod_contract
from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.wire import encode
from tests.end_to_end.programs import run
from tests.init_container.test_init_container import Pod
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.hdfs import front_of, hadoop_or_missing
from tests.resolver.test_archives import file as tar_file
from tests.resolver.test_archives import tar
from tests.services.fault_plans import EVER
from tests.services.fault_proxy import FaultProxy, fault_proxy
from tests.services.faults import Place, Rule, Stall
from tests.services.hadoop import NAMESERVICE, Hadoop

pytestmark = pytest.mark.services

MIB: Final = 1024 * 1024
LARGE: Final = os.urandom(24 * MIB)
PART: Final = 8 * MIB
LOOPBACK: Final = {"networks": {"allow": ["127.0.0.0/8"]}}
"""Redirects lead to a DataNode, which nobody names, and here is on an address that is refused otherwise."""


@pytest.fixture(scope="module")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with hadoop_or_missing(tmp_path_factory.mktemp("hadoop"), standby=True) as running:
        archive = tar(tar_file("bin/tool", b"#!", mode=0o755), mode="w:gz")
        for path, content in {
            "/libs/a b.jar": b"a", "/libs/b.jar": b"b", "/libs/deeper/c.jar": b"c", "/libs/readme.txt": b"",
            "/large.jar": LARGE, "/env.tar.gz": archive, "/secret.jar": b"s",
        }.items():  # fmt: skip
            running.put(path, content)
        running.ask("PUT", "SETPERMISSION", "/secret.jar", permission="600")
        yield running


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    with FaultyServer() as server:
        yield Pod(tmp_path, server)


def configure(pod: Pod, *, egress: object = LOOPBACK, **hdfs: object) -> None:
    """Mount a sources.json."""
    path = pod.root / pod_contract.SETTINGS_FOLDER.lstrip("/") / pod_contract.SOURCES_KEY
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"egress": egress, "hdfs": hdfs}))


def named(*urls: str) -> dict[str, object]:
    return {NAMESERVICE: {"urls": urls}}


def need(pod: Pod, path: str, target: str, *, kind: Kind = Kind.JAR, content: bytes | None = None) -> None:
    """Have the job need a dependency, of which the manifest knows the name only, or its content, too."""
    pod.entries.append(
        ManifestEntry(
            uri=f"hdfs://{NAMESERVICE}{path}", kind=kind, target=FileName(target),
            digest=None if content is None else Digest.of(content), size=None if content is None else len(content),
        )
    )  # fmt: skip


def jars(pod: Pod) -> dict[str, bytes]:
    folder = pod.root / pod_contract.FOLDERS[Kind.JAR].lstrip("/")
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def test_a_pod_gets_its_dependencies_from_two_namenodes_of_which_one_is_a_standby(pod: Pod, hadoop: Hadoop) -> None:
    configure(pod, user="alice", nameservices=named(*reversed(hadoop.urls)))
    need(pod, "/large.jar", "large.jar")
    need(pod, "/libs/a%20b.jar", "a.jar", content=b"a")
    need(pod, "/env.tar.gz", "env", kind=Kind.ARCHIVE)
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == {"large.jar": LARGE, "a.jar": b"a"}
    assert (pod.root / "var/spark-work/env/bin/tool").read_bytes() == b"#!"


def test_a_pod_gets_a_folder_from_what_a_mounted_hdfs_site_names(pod: Pod, hadoop: Hadoop) -> None:
    secret = pod.root / pod_contract.SOURCE_SECRETS_FOLDER.lstrip("/") / "hadoop"
    secret.mkdir(parents=True)
    (secret / "hdfs-site.xml").write_bytes(hadoop.site.read_bytes())
    configure(pod, site="hadoop/hdfs-site.xml")
    pod.environment = {"HADOOP_USER_NAME": "alice"}
    need(pod, "/libs/*.jar", "libs")
    code, log = pod.run()
    assert code == 0, log
    assert jars(pod) == {"a b.jar": b"a", "b.jar": b"b"}


def test_what_a_user_may_not_read_ends_the_pod_with_who_asked(pod: Pod, hadoop: Hadoop) -> None:
    configure(pod, user="mallory", nameservices=named(*hadoop.urls))
    need(pod, "/secret.jar", "secret.jar")
    assert pod.run()[0] == ExitCode.DENIED
    assert "may not be read by the user mallory" in (pod.message().detail or "")


def test_a_redirect_does_not_lead_where_egress_rules_forbid_to_go(pod: Pod, hadoop: Hadoop) -> None:
    configure(pod, egress={}, user="alice", nameservices=named(*hadoop.urls))
    need(pod, "/libs/b.jar", "b.jar")
    assert pod.run()[0] == ExitCode.REFUSED_BY_POLICY
    assert jars(pod) == {}


def test_without_settings_the_pod_says_what_to_set(pod: Pod) -> None:
    need(pod, "/libs/b.jar", "b.jar")
    assert pod.run()[0] == ExitCode.USAGE
    assert f"hdfs.nameservices.{NAMESERVICE}.urls" in (pod.message().detail or "")


@pytest.fixture
def proxy(hadoop: Hadoop, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy before NameNode and DataNode."""
    with front_of(hadoop, tmp_path) as nginx, fault_proxy(nginx.url) as running:
        yield running


def test_a_killed_run_is_continued_and_the_next_one_moves_nothing(proxy: FaultProxy, tmp_path: Path) -> None:
    entry = ManifestEntry(uri="hdfs:///large.jar", kind=Kind.JAR, target=FileName("large.jar"))
    (tmp_path / "manifest.json").write_bytes(encode(Manifest(entries=(entry,))))
    settings = {"egress": LOOPBACK, "hdfs": {"user": "alice", "nameservices": named(proxy.url)}}
    (tmp_path / "sources.json").write_text(json.dumps(settings))
    arguments = (
        "resolve", tmp_path / "manifest.json", "--into", tmp_path / "into", "--sources", tmp_path / "sources.json",
    )  # fmt: skip
    jar = tmp_path / "into" / "spark-jars" / "large.jar"
    # The first part comes; of the others nothing does.
    proxy.plan(Rule(fault=Stall(Place(at=0)), path="/dn/webhdfs/v1/large.jar?op=OPEN", skip=1, times=EVER))
    process = subprocess.Popen(
        [Path(sys.executable).parent / "spark-staging", *arguments],
        env={"HOME": str(tmp_path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    proxy.wait_until(lambda _: process.poll() is not None or parts_of(hidden(jar, "journal")) > 0)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert not jar.exists()
    proxy.drop_connections()
    proxy.plan()
    done = run("spark-staging", *arguments, environment={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert jar.read_bytes() == LARGE
    assert len(LARGE) - PART <= proxy.bytes_down() < len(LARGE)
    proxy.plan()
    done = run("spark-staging", *arguments, environment={"HOME": str(tmp_path)})
    assert "was there" in done.stdout
    assert proxy.bytes_down() < MIB


def parts_of(journal: Path) -> int:
    return len(journal.read_text().splitlines()) - 1 if journal.exists() else 0
