"""Dependencies in HDFS: the init container against the package `hdfs` and hdfs-native.

KServe's storage initializer is left out: its HDFS needs Kerberos' libraries and headers to be installed.
The server that is measured is the DataNode; the NameNode's part is small.
"""

from collections.abc import Sequence

from hdfs import InsecureClient

from benchmarks.data import random_files
from benchmarks.peers.environments import LIBRARIES, environment
from benchmarks.remote import ON_LOOPBACK, SUFFIX, Peer, Shelf, compare, described, program
from benchmarks.scenario import GIB, KIB, MIB, Bench, Outcome
from staging_protocol.sources import HdfsNameservice, HdfsSources, SourceSettings
from tests.services.hadoop import Hadoop, running_hadoop

_FOLDER = "/dependencies"
_USER = "hdfs"


def run_large(bench: Bench) -> Outcome:
    """Download one large file."""
    return _run(bench, count=1, size=bench.sized(GIB, quick=64 * MIB))


def run_small(bench: Bench) -> Outcome:
    """Download many small files."""
    return _run(bench, count=bench.sized(1000, quick=100), size=100 * KIB)


def _run(bench: Bench, *, count: int, size: int) -> Outcome:
    with running_hadoop(bench.folder / "hadoop") as hadoop:
        files = random_files(bench.folder / "seeds", count=count, size=size, suffix=SUFFIX)
        InsecureClient(hadoop.url, user=_USER).upload(_FOLDER, str(bench.folder / "seeds"), n_threads=4)
        names = [file.name for file in files]
        shelf = Shelf(
            title=f"HDFS, {described(count, size)}", pid=hadoop.pid_of("dn"), size=size,
            uris=[f"hdfs://hadoop{_FOLDER}/{name}" for name in names],
            sources=SourceSettings(
                hdfs=HdfsSources(user=_USER, nameservices={"hadoop": HdfsNameservice(urls=(hadoop.url,))}),
                egress=ON_LOOPBACK,
            ),
        )  # fmt: skip
        return compare(bench, shelf, [_library(hadoop), _native(hadoop, names)])


def _library(hadoop: Hadoop) -> Peer:
    return Peer(
        name="hdfs", command=program(environment(LIBRARIES), "hdfs_library"),
        task={"endpoint": hadoop.url, "user": _USER, "folder": _FOLDER},
    )  # fmt: skip


def _native(hadoop: Hadoop, names: Sequence[str]) -> Peer:
    return Peer(
        name="hdfs-native", command=program(environment(LIBRARIES), "hdfs_native_rpc"),
        task={"rpc": f"hdfs://{hadoop.rpc}", "folder": _FOLDER, "names": list(names)},
        environment={"HADOOP_USER_NAME": _USER},
    )  # fmt: skip
