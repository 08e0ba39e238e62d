"""What the client makes of an API server, a network, and proxies that do not do what they should."""

import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    RefusedByPolicy,
    StagingError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from submission.kube import calls
from submission.kube.api import KubeApi
from submission.kube.errors import AlreadyExists, BadRequest, Conflict, Gone
from submission.kube.resources import PODS, SECRETS
from tests.submission.kube.conftest import TOKEN
from tests.submission.kube.scripted import (
    Says,
    Scripted,
    hang_up,
    obj,
    opened,
    raw,
    refuse,
    scripted,
    stream,
    write_kubeconfig,
)

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "driver", "namespace": "jobs"}}
UNNAMED = {"kind": "Pod", "apiVersion": "v1", "metadata": {"generateName": "driver-", "namespace": "jobs"}}


def get(api: KubeApi) -> Any:
    return api.get(PODS, "driver", namespace="jobs")


def everything_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


class TestPassing:
    @pytest.mark.parametrize(
        "fault",
        [
            refuse(500, "InternalError"),
            refuse(503, "ServiceUnavailable"),
            refuse(504, "Timeout"),
            refuse(408),
            refuse(429, "TooManyRequests", Retry_After="0"),
            refuse(409, "Conflict", "the object has been modified"),
            raw(502, b"<html>Bad gateway</html>"),
            raw(200, b'{"kind": "Po', Content_Length="100"),
            stream(b'{"kind": "Po', ends=False),
            hang_up,
        ],
    )
    def test_a_call_that_fails_in_passing_is_tried_again(self, fault: Says, server: Scripted, api: KubeApi) -> None:
        server.will(fault, obj(POD))

        assert get(api) == POD
        assert len(server.asked) == 2

    def test_a_server_that_takes_a_request_and_says_nothing_is_asked_again(
        self, server: Scripted, api: KubeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("submission.kube.transport._PATIENCE", 0.3)
        server.will(stream(threading.Event()), obj(POD))

        assert get(api) == POD

    def test_the_person_hears_once_why_there_is_another_attempt(self, server: Scripted, tmp_path: Path) -> None:
        server.will(refuse(503), refuse(503), obj(POD))
        said: list[str] = []

        with opened(write_kubeconfig(tmp_path / "kubeconfig", server.url), notice=said.append) as api:
            get(api)

        (only,) = said
        assert only.startswith("the Kubernetes API refused to get pods in namespace jobs: because; try again")

    def test_the_time_that_the_server_asks_for_is_waited(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(429, Retry_After="1"), obj(POD))

        get(api)

        first, second = server.asked
        assert second.at - first.at >= 1

    def test_the_time_may_stand_in_the_words_of_the_server(self, server: Scripted, api: KubeApi) -> None:
        server.will(raw(429, b'{"kind": "Status", "message": "because", "details": {"retryAfterSeconds": 3600}}'))

        with pytest.raises(TooManyRequests) as failure:
            get(api)

        assert failure.value.retry_after == 3600

    def test_a_time_that_nobody_expects_is_an_error_at_once(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(429, Retry_After="3600"))

        with pytest.raises(TooManyRequests) as failure:
            get(api)

        assert failure.value.retry_after == 3600
        assert len(server.asked) == 1

    def test_an_api_server_that_is_away_for_a_moment_is_waited_for(self, tmp_path: Path) -> None:
        with scripted() as gone:
            path = write_kubeconfig(tmp_path / "kubeconfig", gone.url)
        said: list[str] = []
        with ExitStack() as stack:

            def come_back(text: str) -> None:
                said.append(text)
                stack.enter_context(scripted(urlsplit(gone.url).port or 0)).will(obj(POD))

            with opened(path, notice=come_back) as api:
                assert get(api) == POD

        assert "does not answer: Connection refused; check the kubeconfig and the network; trying again" in said[0]

    def test_without_time_for_it_there_is_one_attempt(self, server: Scripted, tmp_path: Path) -> None:
        server.will(refuse(503))

        path = write_kubeconfig(tmp_path / "kubeconfig", server.url)
        with opened(path, retry_seconds=0) as api, pytest.raises(Unavailable, match="try again"):
            get(api)

        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (refuse(400, "BadRequest"), BadRequest),
            (refuse(403, "Forbidden"), Denied),
            (refuse(404, "NotFound"), NotFound),
            (refuse(405, "MethodNotAllowed"), InvalidRequest),
            (refuse(422, "Invalid"), InvalidRequest),
        ],
    )
    def test_a_refusal_that_lasts_is_told_at_once(
        self, fault: Says, error: type[StagingError], server: Scripted, api: KubeApi
    ) -> None:
        server.will(fault)

        with pytest.raises(error, match="refused to get pods in namespace jobs: because"):
            get(api)

        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        "page",
        [
            raw(200, b"<html>Log in, please</html>"),
            raw(200, b"[]"),
            raw(200, b"\xff"),
            raw(302, b"{}", Location="https://login.example/"),
        ],
    )
    def test_what_is_no_kubernetes_api_is_named_as_such(self, page: Says, server: Scripted, tmp_path: Path) -> None:
        server.will(page)

        path = write_kubeconfig(tmp_path / "kubeconfig", server.url)
        with (
            opened(path, retry_seconds=0) as api,
            pytest.raises(Unavailable, match="is no Kubernetes API; check the kubeconfig and proxies"),
        ):
            get(api)

        assert len(server.asked) == 1  # a redirection is not followed: our token would go with it


class TestCreating:
    def test_a_name_that_is_taken_is_not_ours(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(409, "AlreadyExists", 'pods "driver" already exists'))

        with pytest.raises(AlreadyExists, match='pods "driver" already exists') as failure:
            api.create(POD)

        assert not failure.value.perhaps_ours

    @pytest.mark.parametrize("fault", [hang_up, refuse(504), raw(201, b"{", Content_Length="9")])
    def test_a_name_that_is_taken_after_a_lost_answer_may_be_ours(
        self, fault: Says, server: Scripted, api: KubeApi
    ) -> None:
        server.will(fault, refuse(409, "AlreadyExists"))

        with pytest.raises(AlreadyExists) as failure:
            api.create(POD)

        assert failure.value.perhaps_ours

    def test_a_request_that_was_turned_away_made_nothing(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(429, Retry_After="0"), refuse(409, "AlreadyExists"))

        with pytest.raises(AlreadyExists) as failure:
            api.create(POD)

        assert not failure.value.perhaps_ours

    def test_an_object_without_a_name_is_never_made_twice(self, server: Scripted, api: KubeApi) -> None:
        server.will(hang_up)

        with pytest.raises(Unavailable):
            api.create(UNNAMED)

        assert len(server.asked) == 1

    def test_a_quota_that_others_changed_at_that_moment_is_asked_again(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(409, "Conflict", "Operation cannot be fulfilled on resourcequotas"), obj(POD))

        assert api.create(POD) == POD

    def test_a_conflict_that_stays_is_told(self, server: Scripted, tmp_path: Path) -> None:
        server.will(refuse(409, "Conflict"))

        path = write_kubeconfig(tmp_path / "kubeconfig", server.url)
        with opened(path, retry_seconds=0) as api, pytest.raises(Conflict):
            api.create(POD)


class TestDeleting:
    def test_what_is_not_there_after_a_lost_answer_was_deleted(self, server: Scripted, api: KubeApi) -> None:
        server.will(hang_up, refuse(404, "NotFound"))

        api.delete(PODS, "driver", namespace="jobs")

        assert [one.method for one in server.asked] == ["DELETE", "DELETE"]

    def test_what_was_not_there_is_told(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(404, "NotFound"))

        with pytest.raises(NotFound):
            api.delete(PODS, "driver", namespace="jobs")

    @pytest.mark.parametrize("name", ["", ".", ".."])
    def test_without_a_name_nothing_is_sent(self, name: str, server: Scripted, api: KubeApi) -> None:
        """The path of no name is that of all objects."""
        server.will(obj({}))

        for call in (api.delete, api.get):
            with pytest.raises(InvalidRequest, match="is no name of a Pod"):
                call(PODS, name, namespace="jobs")
            with pytest.raises(InvalidRequest, match="is no name of a namespace"):
                call(PODS, "driver", namespace=name)

        assert server.asked == []

    def test_a_name_cannot_lead_elsewhere(self, server: Scripted, api: KubeApi) -> None:
        server.will(obj({}))

        api.delete(PODS, "../secrets/x?y#z", namespace="jobs")

        assert server.asked[0].path == "/api/v1/namespaces/jobs/pods/..%2Fsecrets%2Fx%3Fy%23z"


class TestLists:
    def test_pages_are_followed_and_make_one_list(self, server: Scripted, api: KubeApi) -> None:
        first = {"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [{"a": 1}]}
        server.will(obj(first), obj({"metadata": {}, "items": [{"a": 2}]}))

        found = api.list(PODS, namespace="jobs", labels="x=y", fields="status.phase=Running")

        assert found["items"] == [{"a": 1}, {"a": 2}]
        assert found["metadata"]["resourceVersion"] == "5"
        assert [one.query.get("continue") for one in server.asked] == [None, "more"]
        assert {one.query["labelSelector"] for one in server.asked} == {"x=y"}
        assert {one.query["fieldSelector"] for one in server.asked} == {"status.phase=Running"}

    def test_only_as_many_as_are_wanted_are_asked_for(self, server: Scripted, api: KubeApi) -> None:
        server.will(obj({"metadata": {"continue": "more"}, "items": [{"a": 1}]}))

        assert api.list(PODS, namespace=None, limit=1)["items"] == [{"a": 1}]
        (only,) = server.asked
        assert (only.path, only.query["limit"]) == ("/api/v1/pods", "1")

    def test_a_list_that_became_too_old_between_two_pages_is_read_again_in_one(
        self, server: Scripted, api: KubeApi
    ) -> None:
        first = {"metadata": {"continue": "more"}, "items": [{"a": 1}]}
        server.will(obj(first), refuse(410, "Expired"), obj({"metadata": {}, "items": [{"a": 1}, {"a": 2}]}))

        assert api.list(PODS, namespace="jobs")["items"] == [{"a": 1}, {"a": 2}]

        assert [one.query.get("limit") for one in server.asked] == ["500", "500", None]

    def test_one_that_stays_too_old_is_told(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(410, "Expired"))

        with pytest.raises(Gone):
            api.list(PODS, namespace="jobs")

        assert len(server.asked) == 2

    def test_an_empty_list_has_items(self, server: Scripted, api: KubeApi) -> None:
        server.will(obj({"metadata": {}, "items": None}))

        assert api.list(PODS, namespace="jobs")["items"] == []


class TestSecrets:
    """Nothing that is secret is in an error, a `repr`, or on the wire where others read along."""

    def test_a_token_is_sent_where_it_belongs_and_told_nowhere(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(401, "Unauthorized", f"who is Bearer {TOKEN}?"))

        with pytest.raises(Unauthenticated, match="log in again") as failure:
            get(api)

        assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in everything_of(failure.value)
        assert TOKEN not in repr(vars(api)) + api.user

    @pytest.mark.parametrize("user", [{"token": TOKEN}, {"username": "me", "password": TOKEN}])
    def test_credentials_do_not_leave_this_machine_in_clear_text(self, user: dict[str, str], tmp_path: Path) -> None:
        path = write_kubeconfig(tmp_path / "kubeconfig", "http://cluster.example", user=user)

        with opened(path) as api, pytest.raises(RefusedByPolicy, match="in clear text") as failure:
            get(api)

        assert TOKEN not in everything_of(failure.value)

    def test_also_the_address_of_master_must_be_https(self, server: Scripted, tmp_path: Path) -> None:
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, user={"token": TOKEN})

        with (
            opened(path, master="k8s://http://cluster.example") as api,
            pytest.raises(RefusedByPolicy, match="use https in --master"),
        ):
            get(api)

    def test_what_the_server_quotes_of_a_secret_that_it_cannot_read_is_not_told(
        self, server: Scripted, api: KubeApi
    ) -> None:
        server.will(refuse(400, "BadRequest", 'cannot decode ...|"stringData":{"token":"hunter2"}|...'))
        secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "jobs"}}

        with pytest.raises(InvalidRequest, match="400 without a reason to tell") as failure:
            api.create(secret)

        assert "hunter2" not in everything_of(failure.value)

    def test_what_is_sent_is_not_shown(self) -> None:
        secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"namespace": "jobs"}, "data": {"x": "hunter2"}}

        assert "hunter2" not in repr(calls.create(secret, dry_run=False))

    def test_a_token_that_was_issued_is_not_shown(self, server: Scripted, api: KubeApi) -> None:
        server.will(obj({"spec": {"expirationSeconds": 600}, "status": {"token": "hunter2"}}))

        made = api.token("submitter", namespace="jobs", audience="x", seconds=3600)

        assert (made.text, made.seconds) == ("hunter2", 600)
        assert "hunter2" not in repr(made)

    def test_a_token_that_cannot_be_read_is_not_shown_either(self, server: Scripted, api: KubeApi) -> None:
        server.will(obj({"spec": {"expirationSeconds": "hunter2"}, "status": {"token": "hunter2"}}))

        with pytest.raises(Unavailable, match="is no Kubernetes API") as failure:
            api.token("submitter", namespace="jobs", audience="x", seconds=3600)

        assert "hunter2" not in everything_of(failure.value)

    def test_words_of_a_server_cannot_move_the_cursor(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(403, "Forbidden", "\x1b[2Jall is well\n"))

        with pytest.raises(Denied) as failure:
            get(api)

        assert failure.value.detail.isprintable()


class TestRenewal:
    def test_a_token_in_a_file_is_read_for_each_request(self, server: Scripted, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("first\n")
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, user={"tokenFile": "token"})
        server.will(obj(POD))

        with opened(path) as api:
            get(api)
            (tmp_path / "token").write_text("second\n")
            get(api)

        assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]

    def test_a_token_that_was_replaced_in_the_kubeconfig_is_taken_after_a_refusal(
        self, server: Scripted, tmp_path: Path
    ) -> None:
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, user={"token": "first"})
        server.will(refuse(401), obj(POD))

        with opened(path) as api:
            write_kubeconfig(path, server.url, user={"token": "second"})
            assert get(api) == POD

        assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]

    def test_a_credential_that_nothing_replaces_is_not_sent_again(self, server: Scripted, api: KubeApi) -> None:
        server.will(refuse(401))

        with pytest.raises(Unauthenticated):
            get(api)

        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("call", "says"),
        [
            (lambda api: api.create(POD), obj(POD)),
            (lambda api: list(api.watch(PODS, namespace="jobs", version="1", seconds=1)), stream()),
            (lambda api: list(api.log("driver", namespace="jobs", container=None)), stream()),
        ],
    )
    def test_every_kind_of_call_renews(
        self, call: Callable[[KubeApi], Any], says: Says, server: Scripted, tmp_path: Path
    ) -> None:
        path = write_kubeconfig(tmp_path / "kubeconfig", server.url, user={"token": "first"})
        server.will(refuse(401), says)

        with opened(path) as api:
            write_kubeconfig(path, server.url, user={"token": "second"})
            call(api)

        assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]


class TestActing:
    def test_somebody_else_is_named_in_a_header(self, server: Scripted, api: KubeApi) -> None:
        server.will(obj({"status": {"allowed": True}}))
        account = "system:serviceaccount:jobs:driver"

        assert api.acting_as(account).may("create", PODS, namespace="jobs").allowed
        api.may("create", SECRETS, namespace="jobs")

        assert [one.headers.get("Impersonate-User") for one in server.asked] == [account, None]
