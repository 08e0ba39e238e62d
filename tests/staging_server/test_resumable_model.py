"""Uploads in parts over HTTP against a simple model: any order of calls, cuts, take-overs and restarts.

The model keeps for each upload how many bytes came and whether they are the right ones.  Where a connection breaks in
the middle it cannot know how many came; then the server's answer has to lie between what was acknowledged and what was
sent, and that number of bytes has to be the right ones at the end.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Handles
from hypothesis.stateful import RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from tests.staging_server.domain import MovableClock
from tests.staging_server.live import Answer, Live, live_server, new_file, read_head
from tests.staging_server.parts_live import UPLOADS, append, patch_head, post_fields

T = TypeVar("T")

CONTENTS = (b"", b"a", bytes(range(256)) * 20, bytes(range(251)) * 4000)
KEEP = timedelta(hours=2)
YEAR = 365 * 24 * 3600
LONG = {"time_to_live": YEAR, "max_time_to_live": YEAR, "blob_keep": YEAR, "blob_grace": YEAR, "sweep_every": YEAR}

contents = st.sampled_from(CONTENTS)
shares = st.sampled_from((0.0, 0.3, 1.0))


@dataclass(kw_only=True, eq=False)
class ModelUpload:
    """One upload, as far as its client knows it."""

    path: str
    content: bytes
    used_at: datetime
    offset: int = 0
    right: bool = True
    state: str = "open"


@dataclass
class Model:
    """What the server should know; `wanted` has a bundle's path, token and content."""

    uploads: list[ModelUpload] = field(default_factory=list)
    wanted: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    held: set[bytes] = field(default_factory=set)

    def wants(self, content: bytes) -> bool:
        """Whether an open bundle wants it."""
        return any(content == one for _, one in self.wanted.values())

    def take(self, upload: ModelUpload, now: datetime) -> str:
        """Return how the server finds the upload when somebody asks for it."""
        if upload.state != "gone":
            upload.used_at = now
            if upload.content in self.held:
                upload.state = "complete"
        return upload.state

    def sweep(self, now: datetime) -> None:
        """Let go what nobody asked for."""
        for upload in self.uploads:
            if upload.used_at <= now - KEEP:
                upload.state = "gone"


class UploadsAgainstModel(RuleBasedStateMachine):
    """Each rule does one thing to both."""

    begun = Handles("begun")
    made = Handles("made")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = MovableClock()
        self.model = Model()
        self.stack = contextlib.AsyncExitStack()
        self.live = self.run(self.open())

    async def open(self) -> Live:
        """Start the server, and let it have swept once."""
        retention = {**LONG, "upload_keep": KEEP.total_seconds()}
        live = await self.stack.enter_async_context(
            live_server(Path(self.folder.name), clock=self.clock, retention=retention)
        )
        await self.swept(live)
        return live

    async def swept(self, live: Live) -> None:
        """Sweep; the first sweep of the server's own may still be running, and this one comes after it."""
        answer = await live.call("POST", "/v1/sweeps", body={"dry_run": False})
        assert answer.status == 200, answer.body
        self.model.sweep(self.clock.now)

    def teardown(self) -> None:
        """Close everything."""
        self.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for `call`."""
        return self.runner.run(call)

    def call(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request."""
        return self.run(self.live.call(method, path, **more))

    # --- bundles and whole blobs

    @rule(target=made, content=contents)
    def create(self, content: bytes) -> str:
        answer = self.run(self.live.create(new_file(content)))
        path = f"/v1/namespaces/team-a/bundles/{answer['id']}"
        assert answer["sealed"] == (content in self.model.held)
        if not answer["sealed"]:
            self.model.wanted[path] = (answer["token"], content)
        return path

    @rule(bundle=consumes(made))
    def delete(self, bundle: str) -> None:
        assert self.call("DELETE", bundle).status == 204
        self.model.wanted.pop(bundle, None)

    @rule(bundle=made)
    def seal_and_read(self, bundle: str) -> None:
        if bundle not in self.model.wanted:
            return
        token, content = self.model.wanted[bundle]
        answer = self.call("POST", f"{bundle}/seal")
        if content not in self.model.held:
            assert (answer.status, answer.json["code"]) == (409, "files-missing")
            return
        assert answer.status == 200
        del self.model.wanted[bundle]
        assert self.call("GET", f"{bundle}/files/jar/a.jar", token=token).body == content

    @rule(content=contents)
    def put(self, content: bytes) -> None:
        status = self.run(self.live.put(content)).status
        if content in self.model.held:
            assert status == 204
        elif self.model.wants(content):
            assert status == 201
            self.model.held.add(content)
        else:
            assert status == 409

    # --- uploads

    @rule(target=begun, content=contents)
    def begin(self, content: bytes) -> ModelUpload:
        answer = self.call("POST", UPLOADS, data=b"", headers=post_fields(content))
        upload = ModelUpload(path=f"{UPLOADS}/none", content=content, used_at=self.clock.now, state="gone")
        if content in self.model.held:
            assert (answer.status, answer.headers["Upload-Complete"]) == (204, "?1")
        elif self.model.wants(content):
            assert (answer.status, answer.headers["Upload-Complete"]) == (201, "?0")
            upload.path, upload.state = answer.headers["Location"], "open"
            self.model.uploads.append(upload)
        else:
            assert (answer.status, answer.json["code"]) == (409, "blob-not-wanted")
        return upload

    @rule(upload=begun)
    def head(self, upload: ModelUpload) -> None:
        self.check_head(upload, least=upload.offset, most=upload.offset)

    @rule(upload=begun, share=shares, wrong=st.booleans(), complete=st.booleans())
    def append(self, upload: ModelUpload, share: float, wrong: bool, complete: bool) -> None:  # noqa: FBT001 - hypothesis calls it by name
        left = upload.content[upload.offset :]
        part = left[: int(len(left) * share)]
        end = upload.offset + len(part)
        sent = bytes(len(part)) if wrong else part
        answer = self.run(append(self.live, upload.path, sent, offset=upload.offset, complete=complete))
        expected, code = self.expect(upload, wrong=complete and end != len(upload.content))
        if expected != 204:
            assert (answer.status, code in answer.body.decode()) == (expected, True), answer
            return
        right = upload.right and sent == part
        if not complete:
            assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(end))
            upload.offset, upload.right = end, right
        elif right:
            assert (answer.status, answer.headers["Upload-Complete"]) == (201, "?1")
            upload.offset, upload.state = end, "complete"
            self.model.held.add(upload.content)
        else:
            assert (answer.status, answer.json["code"]) == (422, "digest-mismatch")
            upload.state = "gone"

    @rule(upload=begun, offset=st.integers(0, 3))
    def append_elsewhere(self, upload: ModelUpload, offset: int) -> None:
        if offset == upload.offset:
            return
        answer = self.run(append(self.live, upload.path, b"", offset=offset))
        expected, code = self.expect(upload, wrong=offset > len(upload.content))
        if expected != 204:
            assert (answer.status, code in answer.body.decode()) == (expected, True), answer
            return
        assert (answer.status, answer.json["expected-offset"]) == (409, upload.offset)
        assert answer.headers["Upload-Offset"] == str(upload.offset)

    @rule(upload=begun, share=shares, waits=st.booleans())
    def break_off(self, upload: ModelUpload, share: float, waits: bool) -> None:  # noqa: FBT001 - hypothesis calls it by name
        """Send some of the rest, and leave; or wait, and be cut off by whoever asks for the offset."""
        left = upload.content[upload.offset :]
        if upload.state != "open" or not left:
            return
        sent = left[: int((len(left) - 1) * share)]
        self.run(self.send_some(upload, sent, size=len(left), waits=waits))
        self.check_head(upload, least=upload.offset, most=upload.offset + len(sent))

    async def send_some(self, upload: ModelUpload, sent: bytes, *, size: int, waits: bool) -> None:
        async with self.live.raw() as (reader, writer):
            head = patch_head(self.live, upload.path, offset=upload.offset, size=size, complete=True)
            writer.write(head + sent)
            await writer.drain()
            if waits:
                await self.live.call("HEAD", upload.path)
                # Cut off, or refused for what the model knows; or not begun before HEAD, and then it goes on.
                with contextlib.suppress(asyncio.IncompleteReadError):
                    writer.write_eof()
                    assert (await read_head(reader))[0] in {201, 400, 404, 409}

    @rule(upload=begun)
    def cancel(self, upload: ModelUpload) -> None:
        status = self.call("DELETE", upload.path).status
        state, upload.state = upload.state, "gone"
        if state == "complete" and upload.content not in self.model.held:
            state = "gone"
        assert status == (404 if state == "gone" else 204)

    # --- time

    @rule(minutes=st.sampled_from((10, 70, 130)))
    def wait(self, minutes: int) -> None:
        self.clock.move(minutes=minutes)

    @rule()
    def sweep(self) -> None:
        self.run(self.swept(self.live))

    @rule()
    def restart(self) -> None:
        self.run(self.stack.aclose())
        self.live = self.run(self.open())

    @invariant()
    def as_many_are_open_as_the_model_says(self) -> None:
        count, size = self.run(self.live.server.state.parts.resumable.usage())
        still_open = [upload for upload in self.model.uploads if upload.state == "open"]
        assert (count, size) == (len(still_open), sum(upload.offset for upload in still_open))

    @invariant()
    def no_file_is_there_but_those_of_open_uploads(self) -> None:
        files = {path.name for path in (Path(self.folder.name) / "data" / "uploads").iterdir()}
        assert files <= {upload.path.rpartition("/")[2] for upload in self.model.uploads if upload.state == "open"}

    # --- inside

    def expect(self, upload: ModelUpload, *, wrong: bool) -> tuple[int, str]:
        """Return status and code of the refusal that a part gets, or 204; `wrong` parts do not fit."""
        state = self.model.take(upload, self.clock.now)
        if state == "gone":
            return 404, "not-found"
        if state == "complete":
            return 201, ""
        if wrong:
            return 400, "invalid-request"
        return (204, "") if self.model.wants(upload.content) else (409, "blob-not-wanted")

    def check_head(self, upload: ModelUpload, *, least: int, most: int) -> None:
        answer = self.call("HEAD", upload.path)
        state = self.model.take(upload, self.clock.now)
        if state == "gone":
            assert answer.status == 404
            return
        assert answer.status == 204
        assert answer.headers["Upload-Length"] == str(len(upload.content))
        assert answer.headers["Upload-Complete"] == ("?1" if state == "complete" else "?0")
        offset = int(answer.headers["Upload-Offset"])
        if state == "complete":
            assert offset == len(upload.content)
        else:
            assert least <= offset <= most
            upload.offset = offset


def test_uploads_in_parts_agree_with_the_model() -> None:
    quick = settings(max_examples=20, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(UploadsAgainstModel, settings=quick)
