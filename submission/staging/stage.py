"""Staging: create a bundle, upload what the server wants, seal.

    create  →  held / wanted for each file  →  upload the wanted, several at a time, each digest once  →  seal

With everything held there is one request and no file bytes.  When anything fails before the seal, the open bundle is
deleted again; what was uploaded stays, also the beginning of a large file, and the next run goes on from there.  A file
that was written between hashing and uploading is noticed (its version differs, or the server finds another digest);
then everything is hashed and created once more, and only a second such failure is reported.
"""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from staging_protocol.api.creation import CreatedBundle, FileState, NewBundle, NewFile
from staging_protocol.api.info import PodEndpoint
from staging_protocol.counted import counted
from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, SourceUnavailable, StagingError, Terminated, TransientError
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId, Token
from submission.access.connection import Connection
from submission.access.retrying import retried
from submission.classify import NOTHING_KNOWN, Classified, Dependency, Known, remote_entries
from submission.progress.telling import Progress, in_words
from submission.settings import Settings
from submission.staging.digest_cache import DigestCache
from submission.staging.hashing import HashedFile, hashed
from submission.staging.local_files import found
from submission.staging.upload_journal import UploadJournal
from submission.staging.uploading import Uploader

T = TypeVar("T")

_DELETE_SECONDS: Final = 5.0
"""For clearing up after a failure: the person has waited already, and the bundle's time to live deletes it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A sealed bundle and what it took to make it.

    Attributes:
        classified: everything that was named, in order.
        known: what was known before of the bytes of dependencies, remote ones too.
        files: the staged files, in the order of the request.
        states: for each of `files`, whether the server had it.
        token: the bundle token.
        pods: where pods reach the server.
        bytes_staged: bytes that were uploaded, each blob once.
        bytes_resumed: those of them that an earlier run had uploaded before it was interrupted.
        bytes_held: bytes that the server had already, each blob once.
        requests: HTTP requests that were sent, repeated ones included.
    """

    id: BundleId
    namespace: str
    application: str
    classified: Classified
    known: Mapping[Dependency, Known]
    files: tuple[HashedFile, ...]
    states: tuple[FileState, ...]
    token: Token
    expires_at: datetime
    manifest_digest: Digest
    pods: PodEndpoint
    bytes_staged: int
    bytes_resumed: int
    bytes_held: int
    seconds: float
    requests: int

    @property
    def sizes(self) -> dict[Dependency, int]:
        """The bytes of each dependency, as far as they are known."""
        known = {dependency: one.size for dependency, one in self.known.items() if one.size is not None}
        return {**known, **{one.file.dependency: one.version.size for one in self.files}}

    @property
    def in_words(self) -> str:
        """What it took, as a person reads it."""
        return (
            f"bundle {self.id}: {counted(len(self.files), 'file')}, {in_words(self.bytes_staged)} uploaded, "
            f"{in_words(self.bytes_held)} held, {counted(self.requests, 'request')}, {self.seconds:.2f} s"
        )


class Stager:
    """Stages into one namespace of one server."""

    def __init__(self, connection: Connection, *, settings: Settings, namespace: str, progress: Progress) -> None:
        self._url = connection.url
        self._client = connection.client
        self._http = connection.http
        self._settings = settings
        self._namespace = namespace
        self._progress = progress

    def stage(
        self,
        dependencies: Sequence[Dependency],
        *,
        application: str,
        owner: OwnerReference | None = None,
        known: Mapping[Dependency, Known] = NOTHING_KNOWN,
        noted: Callable[[BundleId], None] | None = None,
    ) -> Staged:
        """Stage everything submitter-local among `dependencies`.

        Args:
            dependencies: what the job names.
            application: its name.
            owner: keeps the bundle for as long as it lives.
            known: goes into the manifest's remote entries, and binds the bytes of the local ones.
            noted: is told of the bundle as soon as it is there, for whoever deletes it when something fails later;
                then one of which no answer told is asked about once more.

        Raises:
            StagingError: what is wrong with a file or with the server; nothing is left behind.
        """
        begin = time.monotonic()
        cache: DigestCache | None = DigestCache(self._settings.cache_folder)
        while True:
            classified, local = found(dependencies)
            stop = threading.Event()
            files = hashed(local, cache=cache, progress=self._progress, stop=stop)
            _check_promises(files, known)
            attempt = _Attempt(
                files=files,
                classified=classified,
                known=known,
                application=application,
                owner=owner,
                stop=stop,
                noted=noted,
            )
            try:
                created, uploaded = self._bundle(attempt)
            except DigestMismatch as error:
                if cache is None:
                    raise
                self._progress.notice(f"{error.detail}; reading the files again")
                cache = None
                continue
            return self._result(attempt, created=created, uploaded=uploaded, seconds=time.monotonic() - begin)

    def _bundle(self, attempt: "_Attempt") -> tuple[CreatedBundle, "_Uploaded"]:
        """Create, upload, seal."""
        uploader = self._uploader(attempt)
        created = self._create(attempt)
        try:
            uploaded = _upload(attempt, states=created.files, uploader=uploader)
            if not created.sealed:
                self._retried(lambda: self._client.seal(self._namespace, created.id))
        except BaseException:  # KeyboardInterrupt too: an open bundle would keep a reservation of the quota
            attempt.stop.set()
            self._abandon(created.id)
            self._tell_kept(uploader)
            raise
        return created, uploaded

    def _create(self, attempt: "_Attempt") -> CreatedBundle:
        key = str(uuid.uuid4())  # the same for all attempts: a lost answer must not leave a second bundle
        body = attempt.body()

        def create() -> CreatedBundle:
            return self._client.create(self._namespace, body, idempotency_key=key)

        try:
            created = self._retried(create)
            if attempt.noted is not None:
                attempt.noted(created.id)
        except (KeyboardInterrupt, Terminated):  # nobody knows whether it is there; asked again, the server says
            with suppress(StagingError):
                self._abandon(retried(create, seconds=_DELETE_SECONDS).id)
            raise
        except TransientError:
            if attempt.noted is not None:
                with suppress(StagingError):
                    self._abandon(create().id)
            raise
        if len(created.files) != len(attempt.files):
            msg = (
                f"the server answered for {len(created.files)} files, {len(attempt.files)} were named; "
                "does a proxy change its answers?"
            )
            raise SourceUnavailable(msg)
        return created

    def _uploader(self, attempt: "_Attempt") -> Uploader:
        progress, settings = self._progress, self._settings
        journal = UploadJournal(
            settings.cache_folder, server=self._url, namespace=self._namespace, notice=progress.notice
        )
        return Uploader(
            self._client,
            settings=settings,
            namespace=self._namespace,
            progress=progress,
            journal=journal,
            stop=attempt.stop,
        )

    def _retried(self, call: Callable[[], T]) -> T:
        return retried(call, seconds=self._settings.retry_seconds, notice=self._progress.notice)

    def _tell_kept(self, uploader: Uploader) -> None:
        kept = uploader.kept
        if kept.files:
            what = "a large file" if kept.files == 1 else f"{kept.files} large files"
            self._progress.notice(
                f"{in_words(kept.size)} of {what} are kept on the server; the same command goes on from there"
            )

    def _abandon(self, bundle: BundleId) -> None:
        with suppress(StagingError):
            retried(lambda: self._client.delete(self._namespace, bundle), seconds=_DELETE_SECONDS)

    def _result(self, attempt: "_Attempt", *, created: CreatedBundle, uploaded: "_Uploaded", seconds: float) -> Staged:
        blobs = {one.digest: one.version.size for one in attempt.files}
        return Staged(
            id=created.id,
            namespace=self._namespace,
            application=attempt.application,
            classified=attempt.classified,
            known=attempt.known,
            files=attempt.files,
            states=created.files,
            token=Token.parse(created.token),
            expires_at=created.expires_at,
            manifest_digest=created.manifest_digest,
            pods=created.pods,
            bytes_staged=uploaded.size,
            bytes_resumed=uploaded.resumed,
            bytes_held=sum(blobs.values()) - uploaded.size,
            seconds=seconds,
            requests=self._http.requests,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    files: tuple[HashedFile, ...]
    classified: Classified
    known: Mapping[Dependency, Known]
    application: str
    owner: OwnerReference | None
    stop: threading.Event
    noted: Callable[[BundleId], None] | None

    def body(self) -> NewBundle:
        return NewBundle(
            application=self.application,
            files=tuple(
                NewFile(
                    kind=one.file.dependency.kind,
                    name=one.file.dependency.target,
                    size=one.version.size,
                    digest=one.digest,
                )
                for one in self.files
            ),
            remote=remote_entries(self.classified, self.known),
            owner=self.owner,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uploaded:
    """Bytes that were wanted and are there now, and those of them that an earlier run had sent."""

    size: int
    resumed: int


def _check_promises(files: Sequence[HashedFile], known: Mapping[Dependency, Known]) -> None:
    for one in files:
        promised = known.get(one.file.dependency, Known()).digest
        if promised not in {None, one.digest}:
            msg = f"{one.file.dependency} was changed after it was compared with the lock"
            raise DigestMismatch(msg)


def _upload(attempt: _Attempt, *, states: Sequence[FileState], uploader: Uploader) -> _Uploaded:
    wanted = {one.digest: one for one, state in zip(attempt.files, states, strict=True) if state is FileState.WANTED}
    files = list(wanted.values())
    resumed = uploader.upload(files)
    return _Uploaded(size=sum(one.version.size for one in files), resumed=resumed)
