"""A server, a fault proxy before it, and resolving through both: what the properties about faults stand on."""

import io
import os
import stat
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from resolver.resolve import resolve
from resolver.retry import Attempts, Clock, persistently
from resolver.settings import ResolveSettings, RetrySettings
from resolver.sources.choose import Sources
from resolver.sources.staged import StagedSource
from staging_io.files import HIDDEN_PREFIX, hidden
from staging_io.http import HttpClient, HttpSettings
from staging_io.staging import StagingClient
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.digests import Digest
from staging_protocol.errors import RequestInProgress, StagingError
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.tokens import BundleId, Token
from tests.end_to_end.programs import Server, running
from tests.resolver.outside import outside
from tests.services.fault_proxy import FaultProxy
from tests.services.faults import Rule

NAMESPACE: Final = "team-a"

SMALL_PARTS: Final = ResolveSettings(
    part_size=16_384, buffer_size=4096, deadline=60, connections=4,
    retry=RetrySettings(attempts=8, first_wait=0.001, longest_wait=0.01),
)  # fmt: skip
"""The engine as it is, in miniature: files of some kilobytes come in parts, and retries do not wait."""

SHORT: Final = msgspec.structs.replace(SMALL_PARTS, deadline=3)
"""For faults that never end: a source that brings one byte for each request is given up at the deadline only."""

PATIENT: Final = HttpSettings(connect_timeout=10, stall_timeout=10)
HASTY: Final = HttpSettings(connect_timeout=10, stall_timeout=0.3)
"""Notices a stall soon; on a busy machine it also takes a slow peer for a stalled one."""

Tree = dict[str, tuple[int, bytes | str]]


def tree_of(folder: Path) -> Tree:
    """Return what is below `folder` but for hidden records: mode, and the content, the target of a link, or nothing."""
    return {
        str(path.relative_to(folder)): _node(path)
        for path in sorted(folder.rglob("*"))
        if not (path.name.startswith(HIDDEN_PREFIX) and path.suffix == ".jsonl")
    }


def _node(path: Path) -> tuple[int, bytes | str]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return 0, str(path.readlink())
    return stat.S_IMODE(status.st_mode), path.read_bytes() if stat.S_ISREG(status.st_mode) else ""


def packed_environment() -> tuple[bytes, Tree]:
    """Return an archive as packed environments are, and what it unpacks to."""
    tool, data = os.urandom(20_000), b"data\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content, mode in (("bin/tool-1", tool, 0o755), ("lib/data", data, 0o600)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("bin/tool")
        link.type, link.linkname = tarfile.SYMTYPE, "tool-1"
        archive.addfile(link)
    return buffer.getvalue(), {
        "": (0o755, ""), "bin": (0o755, ""), "lib": (0o755, ""),
        "bin/tool-1": (0o755, tool), "lib/data": (0o644, data), "bin/tool": (0, "tool-1"),
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Job:
    """Files of a job as they are staged, and what they become."""

    files: Mapping[tuple[Kind, str], bytes]
    expected: Tree

    @property
    def new_files(self) -> tuple[NewFile, ...]:
        """How a create request names them."""
        return tuple(
            NewFile(kind=kind, name=FileName(name), size=len(content), digest=Digest.of(content))
            for (kind, name), content in self.files.items()
        )


def make_job(sizes: Sequence[int]) -> Job:
    """Return a job with jars of these sizes, a file, a Python file and an archive."""
    archive, unpacked = packed_environment()
    files = {(Kind.JAR, f"{number}.jar"): os.urandom(size) for number, size in enumerate(sizes)}
    files |= {(Kind.FILE, "größe.csv"): b"a,b\n" * 500, (Kind.PYFILE, "m.zip"): os.urandom(3000)}
    expected: Tree = dict.fromkeys((*{str(kind) for kind, _ in files}, "archive"), (493, ""))
    expected |= {f"{kind}/{name}": (0o644, content) for (kind, name), content in files.items()}
    expected |= {f"archive/env/{name}".rstrip("/"): node for name, node in unpacked.items()}
    return Job(files={**files, (Kind.ARCHIVE, "env"): archive}, expected=expected)


@dataclass(kw_only=True, repr=False)  # contents are too much to show
class Faulted:
    """A sealed bundle on a server, and the proxy that everybody goes through who resolves it."""

    server: Server
    proxy: FaultProxy
    job: Job
    bundle: BundleId
    token: Token

    def resolve_again(self, folder: Path) -> StagingError | None:
        """Resolve once more, when no thread of an earlier run in this process is left."""
        deadline = time.monotonic() + 30
        while isinstance(error := self.resolve(folder), RequestInProgress):
            assert time.monotonic() < deadline, error
            time.sleep(0.05)
        return error

    def resolve(
        self, folder: Path, *, http: HttpSettings = PATIENT, settings: ResolveSettings = SMALL_PARTS
    ) -> StagingError | None:
        """Do in this process what an init container does; return the error it ends with."""
        client = HttpClient(http)
        try:
            self._resolve(folder, client, settings)
        except StagingError as error:
            return error
        finally:
            client.close()
        return None

    def _resolve(self, folder: Path, http: HttpClient, settings: ResolveSettings) -> None:
        client = StagingClient(url=self.proxy.url, token=self.token, http=http)
        attempts = Attempts("the manifest", settings.retry, Clock(settings.deadline), lambda *_: None)
        manifest = persistently(partial(client.manifest, NAMESPACE, self.bundle), attempts=attempts)
        resolve(
            manifest,
            folder_of=lambda kind: folder / kind,
            sources=Sources(
                outside(http),
                staged=partial(StagedSource, client, namespace=NAMESPACE, bundle=self.bundle),
            ),
            settings=settings,
        )

    def strange(self, folder: Path) -> Tree:
        """Return what is in the folder and should not be there, or not so."""
        return {name: node for name, node in tree_of(folder).items() if self.job.expected.get(name) != node}


def stage_directly(server: Server, job: Job) -> tuple[BundleId, Token]:
    """Stage the job without any proxy."""
    http = HttpClient()
    try:
        client = StagingClient(url=server.url, token=None, http=http)
        bundle = NewBundle(application="faults", files=job.new_files)
        created = client.create(NAMESPACE, bundle, idempotency_key=os.urandom(8).hex())
        for content in job.files.values():
            client.put_blob(NAMESPACE, Digest.of(content), size=len(content), content=io.BytesIO(content))
        client.seal(NAMESPACE, created.id)
    finally:
        http.close()
    return created.id, Token.parse(created.token)


@contextmanager
def faulted(folder: Path, job: Job) -> Iterator[Faulted]:
    """Run a server with the staged job, and a proxy before it."""
    server = Server(folder=folder, settings={"STORAGE__SYNCHRONOUS": "normal"})
    with running(server):
        bundle, token = stage_directly(server, job)
        proxy = FaultProxy(server.url)
        try:
            yield Faulted(server=server, proxy=proxy, job=job, bundle=bundle, token=token)
        finally:
            proxy.close()


def resolve_from_web(
    entries: Sequence[ManifestEntry], folder: Path, *, settings: ResolveSettings = SMALL_PARTS
) -> StagingError | None:
    """Resolve entries of other servers; return the error it ends with."""
    client = HttpClient(PATIENT)
    try:
        resolve(
            Manifest(entries=tuple(entries)),
            folder_of=lambda _kind: folder,
            sources=Sources(outside(client)),
            settings=settings,
        )
    except StagingError as error:
        return error
    finally:
        client.close()
    return None


RECORDS: Final = f"archive/{hidden('/.records', 'jsonl').name}"
"""The hidden file of a folder that says what archives were unpacked there."""


def records_of(folder: Path) -> set[str]:
    """Return the names of all hidden files below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob(f"{HIDDEN_PREFIX}*")}


Plan = list[Rule]
