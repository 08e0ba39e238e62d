"""HDFS with two NameNodes, for real: whichever is active answers, and one that is dead or hangs is passed over soon."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from resolver.sources.hdfs.source import HdfsSource
from staging_protocol.errors import SourceUnavailable
from staging_protocol.sources import HdfsSources
from staging_protocol.uris import DependencyUri
from tests.contracts.source import CONTENT, read
from tests.resolver.hdfs import HASTY, Interrupted, download, hadoop_or_missing, named, way_out
from tests.services.hadoop import NAMESERVICE, Hadoop

pytestmark = pytest.mark.services

A_JAR = DependencyUri.parse("hdfs://ns/a.jar")
LARGE = CONTENT * 40
IMPATIENT = msgspec.structs.replace(HASTY, connect_timeout=1, stall_timeout=1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with hadoop_or_missing(tmp_path_factory.mktemp("hadoop"), standby=True) as hadoop:
        hadoop.put("/a.jar", CONTENT)
        hadoop.put("/large.jar", LARGE)
        yield hadoop


@pytest.fixture
def hadoop(running: Hadoop) -> Iterator[Hadoop]:
    """Two NameNodes, of which the first one is active; whatever a test does to them is undone."""
    yield running
    if not running.runs("nn1"):
        running.make_standby("nn2")
        running.start("nn1")
        running.make_active("nn1")
        running.wait_until_data("nn1")


@pytest.fixture
def source_of(hadoop: Hadoop) -> Iterator[Callable[..., HdfsSource]]:
    """Return a source that knows some of the NameNodes, in an order."""
    with way_out(named(hadoop), http=IMPATIENT) as out:

        def make(*urls: str) -> HdfsSource:
            settings = msgspec.structs.replace(out.settings, hdfs=named(hadoop, urls=urls))
            return HdfsSource(msgspec.structs.replace(out, settings=settings))

        yield make


def test_the_active_one_is_found_wherever_it_stands(hadoop: Hadoop, source_of: Callable[..., HdfsSource]) -> None:
    for urls in (hadoop.urls, reversed(hadoop.urls), ("http://127.0.0.1:9", *reversed(hadoop.urls))):
        assert read(source_of(*urls), A_JAR) == CONTENT


def test_an_hdfs_site_names_both(hadoop: Hadoop) -> None:
    for uri in (f"hdfs://{NAMESERVICE}/a.jar", "hdfs:///a.jar", f"webhdfs://{NAMESERVICE}/a.jar"):
        with way_out(HdfsSources(site=str(hadoop.site), user="alice")) as out:
            assert read(HdfsSource(out), DependencyUri.parse(uri)) == CONTENT


def test_a_standby_alone_may_become_active(hadoop: Hadoop, source_of: Callable[..., HdfsSource]) -> None:
    with pytest.raises(SourceUnavailable, match="StandbyException"):
        read(source_of(hadoop.urls[1]), A_JAR)


def test_when_none_is_active_the_message_tells_of_each(hadoop: Hadoop, source_of: Callable[..., HdfsSource]) -> None:
    with pytest.raises(SourceUnavailable, match="no NameNode of ns serves now") as caught:
        read(source_of("http://127.0.0.1:9", hadoop.urls[1]), A_JAR)
    assert "http://127.0.0.1:9 does not answer" in caught.value.detail
    assert f"{hadoop.urls[1]} answers StandbyException" in caught.value.detail


def test_one_that_hangs_is_passed_over_and_then_not_asked_again(
    hadoop: Hadoop, source_of: Callable[..., HdfsSource]
) -> None:
    source = source_of(*reversed(hadoop.urls))
    with hadoop.frozen("nn2"):
        assert read(source, A_JAR) == CONTENT
        nodes = source._cluster(A_JAR)._nodes
        assert nodes.active == hadoop.urls[0]


def test_an_active_one_that_hangs_is_waited_for(hadoop: Hadoop, source_of: Callable[..., HdfsSource]) -> None:
    source = source_of(*hadoop.urls)
    assert read(source, A_JAR) == CONTENT
    with hadoop.frozen("nn1"), pytest.raises(SourceUnavailable) as caught:
        read(source, A_JAR)
    assert f"{hadoop.urls[0]} does not answer: timed out" in caught.value.detail
    assert read(source, A_JAR) == CONTENT


def test_a_failover_in_the_middle_of_a_download_is_followed(hadoop: Hadoop, tmp_path: Path) -> None:
    changing = threading.Thread(target=hadoop.make_active, args=("nn2",))

    def kill() -> None:
        hadoop.kill("nn1")
        changing.start()

    with way_out(named(hadoop)) as out:
        uri = DependencyUri.parse("hdfs://ns/large.jar")
        errors = download(uri, tmp_path, source=Interrupted(out, kill), outside=out)
    changing.join()
    assert (tmp_path / "a.jar").read_bytes() == LARGE
    assert any("no NameNode of ns serves now" in error.detail for error in errors)
