"""Remote dependencies: the same files of a store, downloaded by our init container and by peers, in turn."""

import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.data import settle
from benchmarks.measure import OURS, Sample, Samples, Side, alternate, speed
from benchmarks.places import Places
from benchmarks.pod import Pod
from benchmarks.processes import measure
from benchmarks.scenario import KIB, MIB, Bench, Outcome
from benchmarks.staging import NAMESPACE, Bundle, StagingServer, staging_server
from benchmarks.targets import CLIENT_PSS, FASTEST
from staging_protocol.api.creation import NewBundle
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.sources import Egress, Networks, SourceSettings
from staging_protocol.tokens import Token

SUFFIX: Final = ".bin"

ON_LOOPBACK: Final = Egress(networks=Networks(allow=("127.0.0.0/8",)))
"""Without it no program of ours reads from this machine itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Files that a store holds.

    Attributes:
        title: what is downloaded from where.
        pid: root of the store's processes.
        uris: of the files.
        size: bytes of each.
        sources: how our side reaches the store.
        environment: variables with our side's credentials.
    """

    title: str
    pid: int
    uris: Sequence[str]
    size: int
    sources: SourceSettings
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The last part of each URI."""
        return [uri.rpartition("/")[2] for uri in self.uris]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another program that downloads.

    Attributes:
        name: for the table.
        command: with which `{into}` stands for the folder to write to.
        task: read by it from standard input, as JSON, with the folder added as `into`.
        environment: variables for it.
        stdin: what it reads instead of a task; `{into}` as in `command`.
    """

    name: str
    command: Sequence[str]
    task: Mapping[str, object] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""


def compare(bench: Bench, shelf: Shelf, peers: Sequence[Peer], *, notes: Sequence[str] = ()) -> Outcome:
    """Download all of the shelf by each, in turn."""
    places = Places(bench.folder / "into", count=len(shelf.uris), suffix=SUFFIX)
    with staging_server(bench.folder / "server") as server:
        bundle = remote_bundle(server, shelf)
        ours = Side(OURS, lambda: _by_us(server, shelf, bundle=bundle, places=places))
        others = [Side(peer.name, lambda peer=peer: _by_peer(peer, shelf, places=places)) for peer in peers]  # type: ignore[misc] # mypy reads the default as an argument
        samples = alternate([ours, *others], runs=bench.runs, say=bench.say)
    return Outcome(
        title=shelf.title,
        size=len(shelf.uris) * shelf.size,
        samples=samples,
        figures=_figures(samples),
        notes=tuple(notes),
    )


def described(count: int, size: int) -> str:
    """Return number and size of files in words."""
    each = f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
    return f"one file of {each}" if count == 1 else f"{count:,} files of {each}"


def remote_bundle(server: StagingServer, shelf: Shelf) -> Bundle:
    """Make the bundle of a job that has all files of the shelf as dependencies."""
    entries = tuple(
        ManifestEntry(uri=uri, kind=Kind.FILE, target=FileName(name))
        for uri, name in zip(shelf.uris, shelf.names, strict=True)
    )
    created = server.client.create(
        NAMESPACE, NewBundle(application="benchmark", remote=entries), idempotency_key=secrets.token_hex(16)
    )
    return Bundle(created.id, Token.parse(created.token))


def _by_us(server: StagingServer, shelf: Shelf, *, bundle: Bundle, places: Places) -> Sample:
    place = places.next()
    pod = Pod(server, bundle=bundle, root=place, sources=shelf.sources, environment=shelf.environment)
    settle()
    measured = measure(pod.command, server=shelf.pid, environment=pod.environment)
    places.check(place, size=shelf.size)
    return Sample.of(measured)


def _by_peer(peer: Peer, shelf: Shelf, *, places: Places) -> Sample:
    place = places.next()
    task = peer.stdin.replace("{into}", str(place))
    if peer.task is not None:
        task = json.dumps({**peer.task, "into": str(place)})
    settle()
    measured = measure(
        [word.replace("{into}", str(place)) for word in peer.command],
        server=shelf.pid, environment=peer.environment, stdin=task.encode(), folder=place,
    )  # fmt: skip
    places.check(place, size=shelf.size)
    return Sample.of(measured)


def _figures(samples: Samples) -> dict[str, float]:
    peers = [name for name in samples if name != OURS]
    speeds = {name: speed(samples, against=name) for name in peers}
    ratios = list(itertools.chain.from_iterable(found.items() for found in speeds.values()))
    fastest = min(found[f"speed/{name}"] for name, found in speeds.items() if name != "kserve")
    memory = max(sample.client.pss for sample in samples[OURS] if sample.client is not None) / MIB
    return {**dict(ratios), FASTEST: fastest, CLIENT_PSS: memory}


def program(path: Path, name: str) -> list[str]:
    """Return the command that runs the program `name` of `benchmarks.peers` in the environment `path`."""
    return [str(path / "python"), "-I", str(Path(__file__).parent / "peers" / f"{name}.py")]
