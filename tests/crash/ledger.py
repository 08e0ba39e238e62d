"""What was acknowledged to a client, and what has to hold for it after a crash.

A request ends in one of three ways: acknowledged, refused, or cut off.  What was cut off is in doubt: it may be wholly
there or wholly absent, and after `Ledger.settle` it is known which.  What was acknowledged has to hold.
"""

import random
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from staging_io.http import HttpClient, HttpSettings
from staging_io.refusals import problem_error
from staging_io.staging import StagingClient
from staging_protocol.api.bundles import Bundle, BundleState, Pin
from staging_protocol.api.creation import CreatedBundle, FileState, NewBundle, NewFile, Retention
from staging_protocol.api.operators import NewSweep, Sweep
from staging_protocol.batches import Batch, BatchedBlob
from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BlobNotWanted,
    BundleExpired,
    FilesMissing,
    IdempotencyMismatch,
    NotFound,
    SourceUnavailable,
)
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, Manifest
from staging_protocol.tokens import BundleId, Token
from staging_protocol.uploads import UploadId

T = TypeVar("T")

LONG: Final = Retention(time_to_live=86_400)
"""For what shall stay; without it the servers of these tests let a bundle expire after 50 ms."""

_HTTP: Final = HttpSettings(connect_timeout=30, stall_timeout=60)


class CutOff(Exception):
    """The server went away before it answered."""


@dataclass(kw_only=True)
class Resuming:
    """A resumable upload: `acknowledged` bytes are durably stored, as the server said."""

    digest: Digest
    upload: UploadId | None = None
    acknowledged: int = 0
    done: bool = False


@dataclass(kw_only=True)
class Job:
    """One bundle as its submitter knows it.

    Attributes:
        key: of the idempotent create.
        contents: bytes of each file by name.
        id, token: as the last acknowledged answer gave them.
        arrived: digests whose upload was acknowledged, or that were said to be held.
        doubts: the names of operations that were cut off.
        fleeting: may expire at any time.
        gone: the end was acknowledged.
    """

    body: NewBundle
    key: str
    contents: dict[str, bytes]
    fleeting: bool = False
    id: BundleId | None = None
    token: Token | None = None
    sealed: bool = False
    gone: bool = False
    pinned: str | None = None
    arrived: set[Digest] = field(default_factory=set)
    doubts: set[str] = field(default_factory=set)
    resuming: dict[str, Resuming] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its application, which no other job has."""
        return self.body.application


class Ledger:
    """A client of one namespace, and what it knows."""

    def __init__(self, url: str, *, namespace: str, seed: int = 0) -> None:
        self.url = url
        self.namespace = namespace
        self._name = f"{namespace}-{seed}"
        self.jobs: list[Job] = []
        self.acknowledged = 0
        self._random = random.Random(seed)  # noqa: S311 - test data
        self._count = 0
        self._http = HttpClient(_HTTP)
        self.client = StagingClient(url=url, token=None, http=self._http)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    @property
    def uploads(self) -> set[str]:
        """The uploads in parts that it knows of, done or not."""
        known = (resuming.upload for job in self.jobs for resuming in job.resuming.values())
        return {str(upload) for upload in known if upload is not None}

    # --- operations; each raises CutOff when no answer came

    def draft(self, contents: Iterable[bytes] | None = None, *, fleeting: bool = False) -> Job:
        """Think of a job; nothing is sent."""
        self._count += 1
        made = [self.content()] if contents is None else list(contents)
        files = {f"{number}.jar": content for number, content in enumerate(made)}
        body = NewBundle(
            application=f"{self._name}-{self._count}",
            files=tuple(
                NewFile(kind=Kind.JAR, name=FileName(name), size=len(content), digest=Digest.of(content))
                for name, content in files.items()
            ),
            retention=None if fleeting else LONG,
        )
        job = Job(body=body, key=f"key-{self._name}-{self._count}", contents=files, fleeting=fleeting)
        self.jobs.append(job)
        return job

    def content(self, size: int = 200_000) -> bytes:
        """Return bytes that nobody has yet."""
        return self._random.randbytes(size)

    def create(self, job: Job) -> CreatedBundle:
        """Create, or create again with the same key."""
        created = self._ask(
            job, "create", lambda: self.client.create(self.namespace, job.body, idempotency_key=job.key)
        )
        assert job.id in {None, created.id}, f"{job.name}: the same key gave another bundle"
        job.id, job.token = created.id, Token.parse(created.token)
        job.sealed = job.sealed or created.sealed
        states = zip(job.body.files, created.files, strict=True)
        job.arrived |= {file.digest for file, state in states if state is FileState.HELD}
        return created

    def put(self, job: Job, name: str) -> None:
        """Upload a file in one request."""
        content = job.contents[name]
        digest = Digest.of(content)
        self._ask(
            job, "put", lambda: self.client.put_blob(self.namespace, digest, size=len(content), content=iter([content]))
        )
        job.arrived.add(digest)

    def put_together(self, job: Job) -> None:
        """Upload all files in one request."""
        blobs = {file.digest: job.contents[file.name] for file in job.body.files}
        batch = Batch(blobs=tuple(BatchedBlob(digest=digest, size=len(blob)) for digest, blob in blobs.items()))
        self._ask(job, "put", lambda: self.client.put_blobs(self.namespace, batch, iter(blobs.values())))
        job.arrived |= set(blobs)

    def seal(self, job: Job) -> None:
        """Seal."""
        bundle = _id(job)
        self._ask(job, "seal", lambda: self.client.seal(self.namespace, bundle))
        job.sealed = True

    def stage(self, job: Job) -> None:
        """Create, upload, seal."""
        created = self.create(job)
        for file, state in zip(job.body.files, created.files, strict=True):
            if state is FileState.WANTED:
                self.put(job, file.name)
        if not created.sealed:
            self.seal(job)

    def renew(self, job: Job) -> None:
        """Get a new token."""
        bundle = _id(job)
        job.token = Token.parse(self._ask(job, "token", lambda: self.client.new_token(self.namespace, bundle)).token)

    def pin(self, job: Job, reason: str) -> None:
        """Pin."""
        bundle = _id(job)
        self._ask(job, "pin", lambda: self.client.pin(self.namespace, bundle, Pin(reason=reason)))
        job.pinned, job.fleeting = reason, False

    def delete(self, job: Job) -> None:
        """End the bundle."""
        bundle = _id(job)
        self._ask(job, "delete", lambda: self.client.delete(self.namespace, bundle))
        job.gone = True

    def read(self, job: Job, name: str, *, start: int = 0) -> bytes:
        """Read a file with the bundle's token, whole or from `start`."""
        token = job.token
        assert token is not None
        reader = StagingClient(url=self.url, token=token, http=self._http)
        url, headers = reader.file_request(self.namespace, _id(job), f"jar/{name}")
        if start:
            headers["Range"] = f"bytes={start}-"
        return self._ask(job, "read", lambda: self._read(url, headers))

    def manifest(self, job: Job) -> Manifest:
        """Read the manifest with the bundle's token."""
        reader = StagingClient(url=self.url, token=job.token, http=self._http)
        return self._ask(job, "read", lambda: reader.manifest(self.namespace, _id(job)))

    def sweep(self) -> Sweep:
        """Sweep."""
        return self._ask(None, "sweep", lambda: self.client.sweep(NewSweep()))

    # --- resumable uploads

    def begin(self, job: Job, name: str) -> Resuming:
        """Begin to upload a file in parts."""
        content = job.contents[name]
        resuming = job.resuming.setdefault(name, Resuming(digest=Digest.of(content)))
        made = self._ask(
            job,
            "begin",
            lambda: self.client.create_upload(self.namespace, resuming.digest, size=len(content)),
        )
        resuming.upload, resuming.acknowledged, resuming.done = made.id, made.state.offset, made.state.complete
        return resuming

    def append(self, job: Job, name: str, *, size: int) -> None:
        """Send the next `size` bytes of a file."""
        content, resuming = job.contents[name], job.resuming[name]
        start = resuming.acknowledged
        part = content[start : start + size]
        complete = start + len(part) == len(content)
        assert resuming.upload is not None
        upload = resuming.upload
        state = self._ask(
            job,
            "append",
            lambda: self.client.append(
                self.namespace, upload, offset=start, content=part, size=len(part), complete=complete
            ),
        )
        assert state.offset == start + len(part)
        assert state.complete == complete
        resuming.acknowledged, resuming.done = state.offset, state.complete
        if state.complete:
            job.arrived.add(resuming.digest)

    def resume(self, job: Job, name: str) -> None:
        """Ask where an upload stands; what was acknowledged has to be there."""
        resuming = job.resuming[name]
        assert resuming.upload is not None
        upload = resuming.upload
        state = self._ask(job, "resume", lambda: self.client.upload_state(self.namespace, upload))
        assert state.offset >= resuming.acknowledged, f"{job.name}: {resuming.acknowledged} bytes were acknowledged"
        resuming.acknowledged, resuming.done = state.offset, state.complete

    def cancel(self, job: Job, name: str) -> None:
        """Give an upload in parts up."""
        upload = job.resuming[name].upload
        assert upload is not None
        self._ask(job, "cancel", lambda: self.client.cancel_upload(self.namespace, upload))
        del job.resuming[name]

    # --- after a crash

    def settle(self) -> None:
        """Check every job against the server, and end all doubts."""
        for job in self.jobs:
            self._settle(job)

    def prune(self, *, keep: int) -> None:
        """End the oldest jobs and forget those whose end was checked."""
        self.jobs = [job for job in self.jobs if not job.gone]
        for job in self.jobs[:-keep] if keep else list(self.jobs):
            if job.id is not None and not job.doubts and job.pinned is None:
                try:
                    self.delete(job)
                except BundleExpired:
                    assert job.fleeting
                    job.gone = True

    # --- inside

    def _ask(self, job: Job | None, name: str, call: Callable[[], T]) -> T:
        try:
            answer = call()
        except SourceUnavailable as error:
            if job is not None:
                job.doubts.add(name)
            raise CutOff(name) from error
        with self._lock:
            self.acknowledged += 1
        return answer

    def _read(self, url: str, headers: dict[str, str]) -> bytes:
        with self._http.open("GET", url, headers=headers) as answer:
            size = int(answer.headers.get("Content-Length", "0"))
            data = answer.read()
            if answer.status not in {200, 206}:
                raise problem_error(answer, data)
            if len(data) != size:
                msg = "the body broke off"
                raise SourceUnavailable(msg)
            return data

    def _settle(self, job: Job) -> None:
        if "create" in job.doubts and not job.gone:
            self._settle_creation(job)
        if job.id is None:
            assert not self._listed(job), f"{job.name} is there, and nobody asked for it"
            return
        bundle = self._find(job)
        doubts, job.doubts = job.doubts, set()
        if bundle is None:
            assert job.gone or job.fleeting or "delete" in doubts, f"{job.name} was acknowledged, and is gone"
            assert job.pinned is None or job.gone or "delete" in doubts, f"{job.name} was pinned, and is gone"
            job.gone = True
            return
        assert not job.gone, f"{job.name} was ended, and is there again"
        if "token" in doubts:
            self._renew_again(job)
        self._check(job, bundle, doubts)

    def _settle_creation(self, job: Job) -> None:
        """A create in doubt is there once or not at all; its key finds it, or makes it now."""
        listed = self._listed(job)
        assert len(listed) <= 1, f"{job.name} was made twice"
        try:
            created = self.create(job)
        except BundleExpired:
            assert job.fleeting or "delete" in job.doubts
            job.doubts.discard("create")
            # The create that nobody heard of may have replaced the token: it opens nothing, not even the end.
            job.token, job.gone = None, True
            return
        job.doubts.discard("create")
        assert not listed or listed[0].id == created.id, f"{job.name}: its key was forgotten"
        self._refuse_another_body(job)

    def _refuse_another_body(self, job: Job) -> None:
        other = NewBundle(application=f"{job.name}-other")
        try:
            self.client.create(self.namespace, other, idempotency_key=job.key)
        except IdempotencyMismatch:
            return
        msg = f"{job.name}: its key took another body"
        raise AssertionError(msg)

    def _find(self, job: Job) -> Bundle | None:
        """Return the bundle, found by its token; None when it has ended (410, or nobody ever had the token)."""
        reader = StagingClient(url=self.url, token=job.token, http=self._http)
        try:
            return self._ask(None, "find", lambda: reader.bundle(self.namespace, _id(job)))
        except BundleExpired:
            return None

    def _renew_again(self, job: Job) -> None:
        """End a doubt about the token: a second one would void the token that we have."""
        with suppress(BundleExpired):  # looked at next
            self.renew(job)

    def _check(self, job: Job, bundle: Bundle, doubts: set[str]) -> None:
        assert bundle.application == job.name
        if job.sealed or bundle.state is BundleState.SEALED:
            assert bundle.state is BundleState.SEALED, f"{job.name} was sealed"
            job.sealed = True
            self._check_files(job)
        else:
            self._check_missing(job, doubts)
        reason = None if bundle.pin is None else bundle.pin.reason
        assert reason == job.pinned or "pin" in doubts, f"{job.name} is pinned by {reason!r}, not {job.pinned!r}"
        job.pinned = reason
        if reason is not None:
            job.fleeting = False

    def _check_files(self, job: Job) -> None:
        try:
            entries = {entry.target: entry.digest for entry in self.manifest(job).entries}
            assert entries == {name: Digest.of(content) for name, content in job.contents.items()}
            for name, content in job.contents.items():
                assert self.read(job, name) == content, f"{job.name}: {name} has other bytes"
                assert self.read(job, name, start=len(content) // 2) == content[len(content) // 2 :]
        except BundleExpired:
            assert job.fleeting
            job.gone = True

    def _check_missing(self, job: Job, doubts: set[str]) -> None:
        """What was acknowledged must not be missing; then the job is finished, unless a sweep ends it meanwhile."""
        try:
            for name in list(job.resuming):
                self._finish(job, name, doubts)
            self._complete(job)
        except (BundleExpired, BlobNotWanted):
            assert job.fleeting, f"{job.name} ended while it was finished"
            job.gone = True
            return
        self._check_files(job)

    def _complete(self, job: Job) -> None:
        try:
            self.seal(job)
        except FilesMissing as error:
            missing = {Digest.of(job.contents[name.partition("/")[2]]) for name in error_names(error)}
            assert not missing & job.arrived, f"{job.name}: acknowledged uploads are missing"
            for name, content in job.contents.items():
                if Digest.of(content) in missing:
                    self.put(job, name)
            self.seal(job)

    def _finish(self, job: Job, name: str, doubts: set[str]) -> None:
        """Go on with a resumable upload from where it stands."""
        resuming = job.resuming[name]
        if resuming.upload is None or resuming.done:
            return
        try:
            self.resume(job, name)
        except NotFound:
            assert "cancel" in doubts, f"{job.name}: the upload of {name} is gone, and nobody ended it"
            del job.resuming[name]
            return
        while not resuming.done:
            self.append(job, name, size=1 << 20)

    def _listed(self, job: Job) -> list[Bundle]:
        page = self._ask(None, "list", lambda: self.client.bundles(self.namespace, limit=500))
        assert page.next is None, "the tests keep fewer bundles than a page has"
        return [bundle for bundle in page.bundles if bundle.application == job.name]


def error_names(error: FilesMissing) -> list[str]:
    """Return the names in the message of the client's error, `jar/0.jar, jar/1.jar`."""
    return error.detail.partition("(missing: ")[2].rstrip(")").split(", ")


def _id(job: Job) -> BundleId:
    assert job.id is not None
    return job.id
