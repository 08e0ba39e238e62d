"""Watches and logs: what comes is given when it comes, what is cut off is not, and memory stays flat."""

import json
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.errors import Denied, InvalidRequest, TransientError, Unavailable
from submission.kube.answers import Event
from submission.kube.api import KubeApi
from submission.kube.errors import Gone
from submission.kube.resources import PODS
from tests.submission.kube.scripted import (
    Handler,
    Says,
    Scripted,
    hang_up,
    opened,
    raw,
    refuse,
    stream,
    write_kubeconfig,
)


def event(version: int, kind: str = "MODIFIED") -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": str(version)}}}).encode() + b"\n"


def error(code: int, reason: str) -> bytes:
    status = {"kind": "Status", "code": code, "reason": reason, "message": "because"}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


def watch(api: KubeApi, *, seconds: float = 5, **more: Any) -> Iterator[Event]:
    return api.watch(PODS, namespace="jobs", version="1", seconds=seconds, **more)


def log(api: KubeApi, **more: Any) -> Iterator[bytes]:
    return api.log("driver", namespace="jobs", container="spark", **more)


class TestWatch:
    def test_events_are_given_as_they_come(self, server: Scripted, api: KubeApi) -> None:
        first_was_seen = threading.Event()
        server.will(stream(event(2, "ADDED"), first_was_seen, event(3), event(4, "BOOKMARK")))

        events = watch(api)
        first = next(events)
        first_was_seen.set()

        assert (first.type, first.version) == ("ADDED", "2")
        assert [(one.type, one.version) for one in events] == [("MODIFIED", "3"), ("BOOKMARK", "4")]

    def test_what_is_watched_and_for_how_long_is_said(self, server: Scripted, api: KubeApi) -> None:
        server.will(stream())

        assert list(watch(api, seconds=2.5, labels="a=b", fields="metadata.name=driver")) == []

        (asked,) = server.asked
        assert asked.path == "/api/v1/namespaces/jobs/pods"
        assert asked.query == {
            "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": "1", "labelSelector": "a=b",
            "fieldSelector": "metadata.name=driver", "timeoutSeconds": "3",
        }  # fmt: skip

    def test_lines_may_come_in_pieces_and_several_at_once(self, server: Scripted, api: KubeApi) -> None:
        whole = event(2) + event(3) + event(4)
        server.will(stream(whole[:5], whole[5:6], whole[6:-3], whole[-3:]))

        assert [one.version for one in watch(api)] == ["2", "3", "4"]

    @pytest.mark.parametrize("fault", [stream(event(2), event(3)[:-9]), stream(event(2), event(3)[:-9], ends=False)])
    def test_half_an_event_is_not_given(self, fault: Says, server: Scripted, api: KubeApi) -> None:
        server.will(fault)
        events = watch(api)

        assert next(events).version == "2"
        with pytest.raises(Unavailable) as failure:
            next(events)
        assert failure.value.retryable

    @pytest.mark.parametrize("how", [stream(error(410, "Expired")), refuse(410, "Expired")])
    def test_a_version_that_is_too_old_asks_for_a_new_list(self, how: Says, server: Scripted, api: KubeApi) -> None:
        server.will(how)

        with pytest.raises(Gone, match="because"):
            list(watch(api))

    def test_an_error_on_the_way_is_what_it_would_be_as_an_answer(self, server: Scripted, api: KubeApi) -> None:
        server.will(stream(event(2), error(403, "Forbidden")))

        with pytest.raises(Denied, match="refused to watch pods in namespace jobs: because"):
            list(watch(api))

    @pytest.mark.parametrize("line", [b"<html>\n", b"{}\n", b'{"type": "ADDED", "object": 1}\n', b"\xff\n"])
    def test_what_is_no_event_is_no_kubernetes_api(self, line: bytes, server: Scripted, api: KubeApi) -> None:
        server.will(stream(line))

        with pytest.raises(Unavailable, match="is no Kubernetes API"):
            list(watch(api))

    @pytest.mark.parametrize("fault", [hang_up, refuse(503), refuse(429, Retry_After="0")])
    def test_a_stream_is_not_opened_twice_by_itself(self, fault: Says, server: Scripted, api: KubeApi) -> None:
        """Whoever reads it knows where it stood."""
        server.will(fault)

        for call in (watch, log):
            with pytest.raises(TransientError):
                list(call(api))

        assert len(server.asked) == 2

    def test_a_server_that_goes_on_and_on_is_left_when_the_time_is_over(
        self, server: Scripted, api: KubeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("submission.kube.streams._SPEAKS_LATE", 0.0)
        server.will(forever(event(2)))

        seen = list(islice(watch(api, seconds=1), 1000))

        assert 0 < len(seen) < 1000

    def test_a_server_that_says_nothing_is_left_too(
        self, server: Scripted, api: KubeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("submission.kube.streams._SPEAKS_LATE", 0.2)
        server.will(stream(event(2), threading.Event()))
        events = watch(api, seconds=1)

        assert next(events).version == "2"
        with pytest.raises(Unavailable, match="timed out"):
            next(events)

    def test_who_stops_listening_ends_the_connection(self, server: Scripted, api: KubeApi) -> None:
        ended = threading.Event()
        server.will(forever(event(2), ended=ended))
        events = watch(api)
        next(events)

        events.close()  # type: ignore[attr-defined] # it is a generator

        assert ended.wait(20)


class TestLog:
    def test_lines_are_given_as_they_come_without_their_ends(self, server: Scripted, api: KubeApi) -> None:
        first_was_seen = threading.Event()
        server.will(stream(b"one\n", first_was_seen, b"tw", b"o\n\nfo", b"ur"))

        lines = log(api, follow=True)
        assert next(lines) == b"one"
        first_was_seen.set()

        assert list(lines) == [b"two", b"", b"four"]

    def test_what_is_wanted_is_asked_for(self, server: Scripted, api: KubeApi) -> None:
        server.will(stream(b"x\n"))
        since = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)

        list(log(api, follow=True, tail=5, since_time=since, timestamps=True))
        list(api.log("driver", namespace="jobs", container=None))

        first, second = server.asked
        assert first.path == "/api/v1/namespaces/jobs/pods/driver/log"
        assert first.query == {
            "container": "spark", "follow": "true", "tailLines": "5", "timestamps": "true",
            "sinceTime": "2026-01-02T03:04:05.600000+00:00",
        }  # fmt: skip
        assert second.query == {}

    def test_a_line_that_was_cut_off_is_not_given(self, server: Scripted, api: KubeApi) -> None:
        server.will(stream(b"one\ntw", ends=False))
        lines = log(api)

        assert next(lines) == b"one"
        with pytest.raises(Unavailable, match="broke off"):
            next(lines)

    def test_a_body_that_is_shorter_than_it_said_is_an_error(self, server: Scripted, api: KubeApi) -> None:
        server.will(raw(200, b"one\n", Content_Length="100"))
        lines = log(api)

        assert next(lines) == b"one"
        with pytest.raises(Unavailable, match="96 bytes before its end"):
            next(lines)

    def test_a_log_that_is_silent_is_given_up(self, server: Scripted, api: KubeApi) -> None:
        server.will(stream(b"one\n", threading.Event()))
        lines = log(api, follow=True, silence=0.3)

        assert next(lines) == b"one"
        with pytest.raises(Unavailable, match="timed out"):
            next(lines)

    def test_a_container_that_has_not_started_is_told(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(400, "BadRequest", "container is waiting to start: ContainerCreating"))

        with pytest.raises(InvalidRequest, match="waiting to start"):
            list(log(api))

    def test_memory_is_flat_however_long_log_and_lines_are(self, server: Scripted, api: KubeApi) -> None:
        piece = b"x" * 65_536
        server.will(stream(*[piece] * 200, b"\n", *[b"short\n" * 10_000] * 5))
        size = 0

        tracemalloc.start()
        try:
            for line in log(api):
                size += len(line)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert size == 200 * 65_536 + 5 * 10_000 * 5
        assert peak < 3 * 1024 * 1024

    def test_an_event_that_is_larger_than_any_object_is_an_error(
        self, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("submission.kube.streams._LONGEST_EVENT", 1000)
        server.will(stream(b"x" * 2000))

        with (
            opened(write_kubeconfig(tmp_path / "kubeconfig", server.url)) as api,
            pytest.raises(Unavailable, match="in the middle of an event"),
        ):
            list(watch(api))


def forever(line: bytes, *, ended: threading.Event | None = None) -> Says:
    """Say the same until nobody listens."""

    def says(handler: Handler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            while not handler.owner.over.wait(0.01):
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        except OSError:
            if ended is not None:
                ended.set()

    return says
