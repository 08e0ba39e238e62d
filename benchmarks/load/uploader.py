"""A client that stages: create, upload what is wanted (by PUT or in appends), seal, now and then delete."""

import asyncio
import itertools
import os
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load.plan import Plan
from benchmarks.load.shelf import Book, Content, Contents, Shelf
from benchmarks.load.tally import Tally, is_come_again
from benchmarks.load.wire import Head, Wire, request_bytes
from benchmarks.scenario import MIB
from benchmarks.staging import jar
from staging_protocol import uploads
from staging_protocol.api.creation import CreatedBundle, FileState, NewBundle
from staging_protocol.wire import decode, encode

_APPEND: Final = 8 * MIB
_IN_PARTS: Final = 0.3
"""Share of new files that go up in appends."""

_DELETED: Final = 0.3
"""Share of bundles that are deleted at once instead of being read."""

_ENDED: Final = 0.5
"""Share of read bundles that are deleted when nobody reads them any more; the sweep finds the others."""

_AFTER_REFUSAL: Final = 0.5
"""Seconds until a client begins anew that got what it should not: failures shall not be the load."""

_MOST_FILES: Final = 3
_CREATED: Final = frozenset({201})
_STORED: Final = frozenset({201, 204})
_CONTINUE: Final = 100
_GONE: Final = 410
_NO_CONTENT: Final = 204
_DONE: Final = frozenset({200, 204})


class Refused(Exception):
    """The server did not take it; the tally knows why.  The client begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What all clients share."""

    address: tuple[str, int]
    plan: Plan
    contents: Contents
    shelf: Shelf
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, read to its end."""

    head: Head
    body: bytes


class Uploader:
    """One client of one namespace; it keeps its connection."""

    def __init__(self, town: Town, *, namespace: str, number: int, seed: int) -> None:
        """The first one of a namespace begins with the bundle that stays."""
        self._town = town
        self._namespace = namespace
        self._root = f"/v1/namespaces/{namespace}"
        self._stands = number == 0
        self._random = random.Random(seed)  # noqa: S311 - it chooses files
        self._wire: Wire | None = None

    async def run(self) -> None:
        """Stage one bundle after the other until it is cancelled."""
        try:
            while True:
                try:
                    await self._once()
                except Refused:
                    await asyncio.sleep(_AFTER_REFUSAL)
                except OSError as error:
                    self._town.tally.failed("uploader", f"broke off ({error!r})")
                    self._close()
        finally:
            self._close()

    async def _once(self) -> None:
        shelf = self._town.shelf
        if self._stands and self._namespace not in shelf.standing:
            shelf.standing[self._namespace] = await self._stage(self._town.contents.one_of_each())
            return
        book = await self._stage([self._town.contents.some() for _ in range(self._random.randint(1, _MOST_FILES))])
        if self._random.random() < _DELETED:
            await self._ask("delete", "DELETE", book.path, good=_DONE)
        else:
            book.until = time.monotonic() + self._town.plan.fresh
            shelf.put(self._namespace, book)
        for finished in shelf.take_finished(self._namespace):
            if self._random.random() < _ENDED:
                await self._ask("end", "DELETE", finished.path, good=_DONE | {_GONE})

    async def _stage(self, contents: Sequence[Content]) -> Book:
        files = {f"{number}.jar": content for number, content in enumerate(contents)}
        created = await self._create(files)
        path = f"{self._root}/bundles/{created.id}"
        for content, state in zip(files.values(), created.files, strict=True):
            if state is FileState.WANTED:
                await self._upload(content)
        if not created.sealed:
            await self._ask("seal", "POST", f"{path}/seal", good=_DONE)
        return Book(path=path, token=created.token, files=files)

    async def _create(self, files: Mapping[str, Content]) -> CreatedBundle:
        named = tuple(jar(name, size=content.size, digest=content.digest) for name, content in files.items())
        body = encode(NewBundle(application="load", files=named))
        fields = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}
        answer = await self._ask("create", "POST", f"{self._root}/bundles", good=_CREATED, fields=fields, body=body)
        return decode(answer.body, into=CreatedBundle)

    async def _upload(self, content: Content) -> None:
        if content.is_new and self._random.random() < _IN_PARTS:
            await self._append_all(content)
        else:
            fields = {"Content-Type": "application/octet-stream"}
            path = f"{self._root}/blobs/{content.digest}"
            await self._send("PUT", path, content, start=0, stop=content.size, fields=fields)
        self._town.tally.shares[self._namespace].uploads += 1

    async def _append_all(self, content: Content) -> None:
        common = {"Content-Type": uploads.CONTENT_TYPE}
        begin = {
            **common, uploads.LENGTH: str(content.size), uploads.COMPLETE: uploads.flag(False),
            uploads.DIGEST: content.digest.repr_digest,
        }  # fmt: skip
        begun = await self._ask("begin upload", "POST", f"{self._root}/uploads", good=_STORED, fields=begin)
        location = begun.head.fields.get("location")
        if location is None:
            return  # the namespace holds it already
        open_uploads, entry = self._town.tally.open_uploads, (self._namespace, location.rpartition("/")[2])
        open_uploads.add(entry)
        for start in range(0, content.size, _APPEND):
            stop = min(start + _APPEND, content.size)
            fields = {**common, uploads.OFFSET: str(start), uploads.COMPLETE: uploads.flag(stop == content.size)}
            await self._send("PATCH", location, content, start=start, stop=stop, fields=fields)
        open_uploads.discard(entry)

    async def _send(
        self, method: str, path: str, content: Content, *, start: int, stop: int, fields: Mapping[str, str]
    ) -> None:
        """Send a stretch of a content once the server asks for it, as often as it says to come again."""
        tally = self._town.tally
        request = request_bytes(method, path, fields={**fields, "Expect": "100-continue"}, size=stop - start)
        asked, others = time.monotonic(), tally.others(self._namespace)
        while True:
            wire = await self._connection()
            await wire.send(request)
            head = await wire.head()
            if head.status == _CONTINUE:
                tally.let_in(self._namespace, seconds=time.monotonic() - asked, others_before=others)
                await self._send_body(wire, content, start=start, stop=stop)
                head = await wire.head()
            if await self._ended(method, wire, head, good=_STORED) is not None:
                tally.shares[self._namespace].bytes_up += stop - start
                return

    async def _send_body(self, wire: Wire, content: Content, *, start: int, stop: int) -> None:
        plan = self._town.plan
        file_stop = min(stop, content.size - len(content.stamp))
        descriptor = os.open(content.common.path, os.O_RDONLY)
        try:
            bounds = [start + (file_stop - start) * piece // plan.pieces for piece in range(plan.pieces + 1)]
            for begin, end in itertools.pairwise(bounds):
                await wire.send_file(descriptor, start=begin, stop=end)
                if plan.pause:
                    await asyncio.sleep(plan.pause)
        finally:
            os.close(descriptor)
        if stop == content.size:
            await wire.send(content.stamp)

    async def _ask(
        self, what: str, method: str, path: str, *, good: frozenset[int], fields: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:  # fmt: skip
        """Send a request with a small body, as often as the server says to come again."""
        request = request_bytes(method, path, fields=fields or {}, size=len(body)) + body
        while True:
            wire = await self._connection()
            await wire.send(request)
            answer = await self._ended(what, wire, await wire.head(), good=good)
            if answer is not None:
                return answer

    async def _ended(self, what: str, wire: Wire, head: Head, *, good: frozenset[int]) -> Answer | None:
        """Read an answer to its end and count it; None when the request shall be sent again, which is waited for.

        Raises:
            Refused: it is not what should be.
        """
        body = await wire.body(0 if head.status == _NO_CONTENT or what.startswith("HEAD") else head.size)
        if not head.keeps:
            self._close()
        if self._town.tally.answered(what, head, good=good, body=body):
            return Answer(head=head, body=body)
        if not is_come_again(head):
            raise Refused
        await asyncio.sleep(float(head.fields["retry-after"]) * self._random.uniform(0.5, 1))
        return None

    async def _connection(self) -> Wire:
        if self._wire is None or self._wire.is_dropped():
            self._close()
            self._wire = await Wire.open(self._town.address)
        return self._wire

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
