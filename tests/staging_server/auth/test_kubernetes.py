"""What is asked of Kubernetes about a caller, how often, and what happens when it does not answer.

The API server here is one that can be told what to say; real ones answer in `test_wrong_identities` and `test_roles`.
"""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from staging_protocol.errors import (
    Denied,
    InternalError,
    NotFound,
    StagingError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from staging_protocol.tokens import BundleId, Token
from staging_server.access_tokens import Verb
from staging_server.auth.base import Access, BoundPod
from staging_server.auth.kubernetes import ByKubernetes, caller_name
from staging_server.auth.observer import SILENT, ReviewObserver
from staging_server.metrics.reviews import ReviewMetrics
from staging_server.problems import NeedsCredentials
from staging_server.settings import AuthMode, AuthSettings
from tests.staging_server.auth.crafted import AUDIENCE, ISSUER, jwt
from tests.staging_server.live import bundle_token

T = TypeVar("T")
_POD = {"authentication.kubernetes.io/pod-name": ["driver"], "authentication.kubernetes.io/pod-uid": ["u1"]}
_BUNDLE = BundleId.generate()


def _user(name: str = "system:serviceaccount:team-a:default", **more: Any) -> dict[str, Any]:
    return {"username": name, "uid": "7", "groups": ["system:authenticated"], **more}


@dataclass
class _Kubernetes:
    """Says who somebody is, and that they may do `allowed`; or fails."""

    user: dict[str, Any] | None = field(default_factory=_user)
    audiences: tuple[str, ...] | None = (AUDIENCE,)
    allowed: frozenset[tuple[str, str]] = frozenset()
    issuer: str | StagingError = ISSUER
    error: StagingError | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def get(self, path: str, *, into: type[T]) -> T:
        self.asked.append((path, None))
        await asyncio.sleep(0)
        if isinstance(self.issuer, StagingError):
            raise self.issuer
        return msgspec.convert({"issuer": self.issuer}, into)

    async def post(self, path: str, body: Mapping[str, Any], *, into: type[T]) -> T:
        spec = body["spec"]
        self.asked.append((path.rpartition("/")[2], spec))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return msgspec.convert({"status": self._status(path, spec)}, into)

    def _status(self, path: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        if path.endswith("/subjectaccessreviews"):
            wanted = spec["resourceAttributes"]
            return {"allowed": (wanted["verb"], wanted["namespace"]) in self.allowed}
        if self.user is None:
            return {"error": "no"}
        return {"authenticated": True, "user": self.user} | ({"audiences": self.audiences} if self.audiences else {})

    def count(self, what: str) -> int:
        return sum(path == what for path, _ in self.asked)


@dataclass(frozen=True, kw_only=True)
class _Pod:
    uid: str = "u1"
    bundle: str | None = str(_BUNDLE)
    alive: bool = True


@dataclass
class _Pods:
    pod: _Pod | None = field(default_factory=_Pod)

    async def find_pod(self, namespace: str, name: str, *, uid: str = "") -> _Pod | None:
        assert (namespace, name, uid) == ("team-a", "driver", "u1")
        return self.pod


def _by(
    kubernetes: _Kubernetes,
    pods: _Pods | None = None,
    *,
    now: float = 0.0,
    observer: ReviewObserver = SILENT,
    **settings: Any,
) -> ByKubernetes:
    values = AuthSettings(mode=AuthMode.KUBERNETES, **settings)
    return ByKubernetes(kubernetes, pods or _Pods(), settings=values, clock=lambda: now, observer=observer)


async def _access(by: ByKubernetes, token: str, *, address: str = "10.0.0.1") -> Access:
    identity = await by.identify({"Authorization": f"Bearer {token}"}, address=address)
    assert identity is not None
    assert not isinstance(identity, Token)
    return identity


async def test_reviews_are_counted_by_kind_and_result_and_what_was_known_or_refused_besides() -> None:
    registry, kubernetes = CollectorRegistry(), _Kubernetes(allowed=frozenset({("create", "team-a")}))
    by = _by(kubernetes, observer=ReviewMetrics(registry), reviews_per_second=1.0)

    def count(name: str, **labels: str) -> float:
        return registry.get_sample_value(f"sparkstaging_{name}", labels) or 0

    token = jwt()
    access = await _access(by, token)
    assert await access.may((Verb.CREATE,), namespace="team-a")
    assert not await access.may((Verb.PIN,), namespace="team-a")
    await _access(by, token)
    kubernetes.error = Unavailable("not now")
    with pytest.raises(Unavailable):
        await access.may((Verb.DELETE,), namespace="team-a")
    reviews = "review_duration_seconds_count"
    assert [count(reviews, kind="token", result=result) for result in ("yes", "no", "error")] == [1, 0, 0]
    assert [count(reviews, kind="access", result=result) for result in ("yes", "no", "error")] == [1, 1, 1]
    assert count("reviews_spared_total", kind="token") == 1
    for number in range(20):
        with pytest.raises((Unavailable, TooManyRequests)):
            await _access(by, jwt(sub=f"another-{number}"))
    asked = count(reviews, kind="token", result="error")
    assert 0 < asked < 20
    assert count("reviews_limited_total", kind="token") == 20 - asked


async def test_one_review_is_asked_with_our_audience_however_many_come_at_once() -> None:
    kubernetes = _Kubernetes()
    by, token = _by(kubernetes), jwt()
    found = await asyncio.gather(*(_access(by, token) for _ in range(100)))
    assert {one.name for one in found} == {"user:system:serviceaccount:team-a:default"}
    await _access(by, token)
    assert kubernetes.asked == [
        ("/.well-known/openid-configuration", None),
        ("tokenreviews", {"token": token, "audiences": [AUDIENCE]}),
    ]


@pytest.mark.parametrize(
    ("known", "settings", "questions"),
    [
        (True, {"yes_keep": 60.0, "no_keep": 1e-9}, 1),
        (True, {"yes_keep": 1e-9, "no_keep": 10.0}, 2),
        (False, {"yes_keep": 1e-9, "no_keep": 10.0}, 1),
        (False, {"yes_keep": 60.0, "no_keep": 1e-9}, 2),
    ],
)
async def test_a_yes_and_a_no_are_kept_for_as_long_as_their_own_setting_says(
    *, known: bool, settings: dict[str, Any], questions: int
) -> None:
    kubernetes = _Kubernetes(_user() if known else None)
    by, token = _by(kubernetes, **settings), jwt()
    for _ in range(2):
        with nullcontext() if known else pytest.raises(NeedsCredentials):
            await _access(by, token)
    assert kubernetes.count("tokenreviews") == questions


async def test_a_token_is_not_believed_beyond_its_own_end() -> None:
    kubernetes = _Kubernetes()
    by, token = _by(kubernetes, now=1000.0), jwt(exp=1000.000001)
    for _ in range(2):
        await _access(by, token)
    assert kubernetes.count("tokenreviews") == 2


@pytest.mark.parametrize("settings", [{"yes_keep": 61}, {"no_keep": 11}])
def test_answers_cannot_be_kept_for_longer_than_that(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AuthSettings(mode=AuthMode.KUBERNETES, **settings)


async def test_a_right_is_asked_once_for_caller_verb_and_namespace_with_all_that_is_known_of_the_caller() -> None:
    kubernetes = _Kubernetes(_user(extra=_POD), allowed=frozenset({("get", "team-a"), ("operate", "")}))
    by = _by(kubernetes)
    for _ in range(3):
        access = await _access(by, jwt())
        assert await access.may((Verb.GET,), namespace="team-a")
        assert not await access.may((Verb.GET,), namespace="team-b")
        assert not await access.may((Verb.CREATE,), namespace="team-a")
        assert await access.may((Verb.LIST, Verb.GET), namespace="team-a")
        assert await access.may((Verb.OPERATE,), namespace=None)
        assert not await access.may((Verb.LIST,), namespace=None)
    asked = [spec for path, spec in kubernetes.asked if path == "subjectaccessreviews"]
    assert len(asked) == 6
    assert asked[0] == {
        "user": "system:serviceaccount:team-a:default", "uid": "7", "groups": ("system:authenticated",),
        "extra": {name: tuple(values) for name, values in _POD.items()},
        "resourceAttributes": {
            "group": "spark-staging.io", "resource": "bundles", "verb": "get", "namespace": "team-a",
        },
    }  # fmt: skip


async def test_two_tokens_of_one_caller_share_what_is_known_of_their_rights() -> None:
    kubernetes = _Kubernetes(allowed=frozenset({("get", "team-a")}))
    by = _by(kubernetes)
    for exp in (1000, 2000):
        assert await (await _access(by, jwt(exp=exp))).may((Verb.GET,), namespace="team-a")
    assert (kubernetes.count("tokenreviews"), kubernetes.count("subjectaccessreviews")) == (2, 1)


async def test_what_can_be_no_namespace_is_asked_as_all_namespaces() -> None:
    kubernetes = _Kubernetes(allowed=frozenset({("get", "")}))
    assert await (await _access(_by(kubernetes), jwt())).may((Verb.GET,), namespace="../kube-system")
    assert kubernetes.asked[-1][1]["resourceAttributes"]["namespace"] == ""


@pytest.mark.parametrize("audiences", [None, (), ("other",), ("spark-staging-2",)])
async def test_a_yes_without_our_audience_is_a_no(audiences: tuple[str, ...] | None) -> None:
    by = _by(_Kubernetes(audiences=audiences))
    with pytest.raises(NeedsCredentials):
        await _access(by, jwt())


@pytest.mark.parametrize("user", [None, {}, _user("")])
async def test_whom_kubernetes_does_not_know_is_refused_and_asked_about_once(user: dict[str, Any] | None) -> None:
    kubernetes = _Kubernetes(user)
    by = _by(kubernetes)
    for _ in range(3):
        with pytest.raises(NeedsCredentials):
            await _access(by, jwt())
    assert kubernetes.count("tokenreviews") == 1


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("refused"), Denied("no right"), Unauthenticated("who are you?"), NotFound("no such API"),
        InternalError("bad request"),
    ],
    ids=lambda error: error.code,
)  # fmt: skip
async def test_where_kubernetes_does_not_answer_nobody_is_let_in_and_nothing_is_remembered(error: StagingError) -> None:
    kubernetes = _Kubernetes(error=error, allowed=frozenset({("get", "team-a")}))
    by = _by(kubernetes)
    with pytest.raises(Unavailable) as refused:
        await _access(by, jwt())
    assert refused.value.detail != error.detail, "strangers learn nothing about the cluster"
    kubernetes.error = None
    access = await _access(by, jwt())
    kubernetes.error = error
    with pytest.raises(Unavailable):
        await access.may((Verb.GET,), namespace="team-a")
    kubernetes.error = None
    assert await access.may((Verb.GET,), namespace="team-a")


async def test_what_can_be_refused_without_asking_is() -> None:
    kubernetes = _Kubernetes()
    by = _by(kubernetes, now=1000.0)
    for token in ("opaque", jwt(exp=999), jwt(aud="other"), "ssa_" + "a" * 80, "sst_cut"):
        with pytest.raises(NeedsCredentials):
            await _access(by, token)
    assert kubernetes.asked == []
    with pytest.raises(NeedsCredentials):
        await _access(by, jwt(iss="https://elsewhere"))
    assert kubernetes.asked == [("/.well-known/openid-configuration", None)]


async def test_an_issuer_that_is_set_is_not_looked_for_and_one_that_nobody_tells_does_not_matter() -> None:
    kubernetes = _Kubernetes()
    await _access(_by(kubernetes, issuer="https://mine"), jwt(iss="https://mine"))
    assert kubernetes.count("/.well-known/openid-configuration") == 0
    await _access(_by(kubernetes, issuer=""), jwt(iss="https://any"))
    assert kubernetes.count("/.well-known/openid-configuration") == 0
    for error in (Denied("no"), NotFound("no")):
        kubernetes = _Kubernetes(issuer=error)
        by = _by(kubernetes)
        for number in range(3):
            await _access(by, jwt(iss=f"https://{number}"))
        assert kubernetes.count("/.well-known/openid-configuration") == 1
    kubernetes = _Kubernetes(issuer=Unavailable("not now"))
    by = _by(kubernetes)
    told = await asyncio.gather(*(_access(by, jwt(exp=exp)) for exp in range(1, 20)), return_exceptions=True)
    assert {type(error) for error in told} == {Unavailable}
    assert kubernetes.count("/.well-known/openid-configuration") == 1, "nobody waits for the failures of others in turn"
    kubernetes.issuer = ISSUER
    await _access(by, jwt())


async def test_a_bundle_token_is_not_asked_about_and_nobody_is_nobody() -> None:
    kubernetes, token = _Kubernetes(), bundle_token()
    by = _by(kubernetes)
    assert await by.identify({"Authorization": f"Bearer {token.text}"}, address="") == token
    assert await by.identify({}, address="") is None
    assert await by.identify({"Authorization": "Bearer "}, address="") is None
    assert kubernetes.asked == []


async def test_a_stranger_is_slowed_down_and_who_is_known_is_not() -> None:
    kubernetes = _Kubernetes()
    by = _by(kubernetes, refusals_per_second=1, reviews_per_second=1000)
    await _access(by, jwt(exp=1), address="10.0.0.9")
    for number in range(50):  # yes costs an address nothing
        await _access(by, jwt(exp=100 + number), address="10.0.0.9")
    kubernetes.user = None
    refused = []
    for number in range(50):
        with pytest.raises((NeedsCredentials, TooManyRequests)) as error:
            await _access(by, jwt(exp=1000 + number), address="10.0.0.9")
        refused.append(type(error.value))
    assert refused == [NeedsCredentials] * 5 + [TooManyRequests] * 45
    assert kubernetes.count("tokenreviews") == 51 + 5
    await _access(by, jwt(exp=100), address="10.0.0.9")  # still remembered
    with pytest.raises(NeedsCredentials):
        await _access(by, jwt(exp=5000), address="10.0.0.8")


async def test_rights_that_are_refused_count_too() -> None:
    kubernetes = _Kubernetes()
    access = await _access(_by(kubernetes, refusals_per_second=1), jwt())
    assert not any([await access.may((Verb.GET,), namespace=f"team-{number}") for number in range(5)])
    with pytest.raises(TooManyRequests) as refused:
        await access.may((Verb.GET,), namespace="team-5")
    assert refused.value.retry_after is not None
    assert kubernetes.count("subjectaccessreviews") == 5


async def test_tokens_of_the_api_server_are_asked_about_without_audience_and_only_where_they_are_taken() -> None:
    kubernetes = _Kubernetes(_user("ana"), audiences=None)
    for token in ("opaque", jwt(aud=ISSUER)):
        with pytest.raises(NeedsCredentials):
            await _access(_by(kubernetes), token)
    by = _by(kubernetes, api_server_tokens=True)
    for token in ("opaque", jwt(aud=ISSUER), jwt(aud="elsewhere", iss="https://id.example.com")):
        assert (await _access(by, token)).name == "user:ana"
    assert [spec for path, spec in kubernetes.asked if path == "tokenreviews"] == [
        {"token": token} for token in ("opaque", jwt(aud=ISSUER), jwt(aud="elsewhere", iss="https://id.example.com"))
    ]
    with pytest.raises(NeedsCredentials):  # for us it has to be ours: no audience in the answer means the API server's
        await _access(by, jwt())


@pytest.mark.parametrize(
    ("pod", "carries"),
    [
        (_Pod(), True), (None, False), (_Pod(uid="u2"), False), (_Pod(bundle=None), False), (_Pod(bundle=""), False),
        (_Pod(bundle=BundleId.generate()), False), (_Pod(alive=False), False),
    ],
    ids=["right", "gone", "another of its name", "no label", "empty label", "another label", "finished"],
)  # fmt: skip
async def test_only_a_live_pod_with_its_uid_and_label_carries_a_bundle(pod: _Pod | None, *, carries: bool) -> None:
    access = await _access(_by(_Kubernetes(_user(extra=_POD)), _Pods(pod)), jwt())
    assert access.pod == BoundPod(namespace="team-a", name="driver", uid="u1")
    assert await access.carries(_BUNDLE, namespace="team-a") is carries
    assert not await access.carries(_BUNDLE, namespace="team-b")


@pytest.mark.parametrize(
    "user",
    [
        _user(), _user("ana", extra=_POD), _user("system:node:n1", extra=_POD), _user(extra={"pod-name": ["driver"]}),
        _user(extra=_POD | {"authentication.kubernetes.io/pod-uid": []}),
        _user(extra=_POD | {"authentication.kubernetes.io/pod-name": ["driver", "other"]}),
    ],
    ids=["not bound", "a person", "a node", "other names", "no uid", "two names"],
)  # fmt: skip
async def test_who_is_not_bound_to_one_pod_carries_nothing(user: dict[str, Any]) -> None:
    access = await _access(_by(_Kubernetes(user)), jwt())
    assert access.pod is None
    assert not await access.carries(_BUNDLE, namespace="team-a")


def test_names_fit_into_rows_and_no_two_are_the_same() -> None:
    assert caller_name("ana@example.com") == "user:ana@example.com"
    long = "system:serviceaccount:" + "n" * 63 + ":" + "a" * 252
    assert len(caller_name(long + "1")) <= 253
    assert caller_name(long + "1") != caller_name(long + "2")
    assert caller_name(caller_name(long).removeprefix("user")) != caller_name(long)
