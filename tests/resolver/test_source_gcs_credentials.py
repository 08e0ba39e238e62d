"""Who asks Google Cloud Storage: every way to an identity, and what is said when one does not do.

The storage here is fake-gcs-server behind a gate that checks tokens.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import credentials as google_credentials

from resolver.sources.gcs import metadata_server
from resolver.sources.gcs.source import GcsSource
from resolver.sources.outside import Outside
from staging_protocol.errors import (
    Denied,
    InvalidRequest,
    NotFound,
    RefusedByPolicy,
    SourceUnavailable,
    TooManyRequests,
    TransientError,
    Unauthenticated,
)
from staging_protocol.sources import GcsBucket, GcsSources
from staging_protocol.uris import DependencyUri
from tests.conftest import missing
from tests.contracts.source import CONTENT, read
from tests.resolver.gcs import way_out
from tests.resolver.google import (
    ACCOUNT,
    SCOPE,
    TOKEN_AUDIENCE,
    Google,
    account_file,
    person_file,
    refusal,
    workload_file,
)
from tests.services.fake_gcs import FakeGcs, FakeGcsMissing, running_fake_gcs

pytestmark = pytest.mark.services

URI = DependencyUri.parse("gs://bucket/a.jar")


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    try:
        with running_fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
            server.make_bucket("bucket")
            server.put("bucket", "a.jar", CONTENT)
            yield server
    except FakeGcsMissing as error:
        missing(str(error))


@pytest.fixture
def google(gcs: FakeGcs) -> Iterator[Google]:
    with Google(gcs.url) as server:
        yield server


@pytest.fixture
def account(google: Google, tmp_path: Path) -> Iterator[Outside]:
    """A way out for the key file of a service account, named by `sources.json`."""
    account_file(tmp_path / "key.json", token_url=f"{google.url}/token")
    with way_out(GcsSources(endpoint=google.url, credentials="key.json"), secrets=tmp_path) as outside:
        yield outside


# --- where identities come from


def test_the_file_that_the_settings_name_is_used(account: Outside, google: Google) -> None:
    source = GcsSource(account)
    assert read(source, URI) == CONTENT
    assert google.shown == [f"Bearer {google.issued[0]}"]
    assert ACCOUNT in source.identity(URI)
    assert "sources.json" in source.identity(URI)


def test_no_more_is_asked_for_than_reading(account: Outside, google: Google) -> None:
    read(GcsSource(account), URI)
    (claims,) = google.claims
    assert (claims["scope"], claims["iss"], claims["aud"]) == (SCOPE, ACCOUNT, TOKEN_AUDIENCE)


@pytest.mark.parametrize("impersonates", [False, True])
def test_a_workload_of_another_cloud_exchanges_its_own_token(
    google: Google, tmp_path: Path, *, impersonates: bool
) -> None:
    workload_file(tmp_path / "workload.json", google=google.url, impersonates=impersonates)
    with way_out(GcsSources(endpoint=google.url, credentials="workload.json"), secrets=tmp_path) as outside:
        source = GcsSource(outside)
        assert read(source, URI) == CONTENT
        assert (ACCOUNT if impersonates else "workload.json") in source.identity(URI)
    assert (google.count("/sts"), google.count("/impersonate")) == (1, int(impersonates))


def test_application_default_credentials_are_found_where_google_looks(google: Google, tmp_path: Path) -> None:
    named = account_file(tmp_path / "key.json", token_url=f"{google.url}/token")
    for folder in ("chosen", "home/.config/gcloud"):
        account_file(tmp_path / folder / "application_default_credentials.json", token_url=f"{google.url}/token")
    by = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(named), "CLOUDSDK_CONFIG": str(tmp_path / "chosen"),
        "HOME": str(tmp_path / "home"), "GCE_METADATA_HOST": google.host,
    }  # fmt: skip
    found = []
    while by:
        with way_out(GcsSources(endpoint=google.url), environment=by) as outside:
            assert read(GcsSource(outside), URI) == CONTENT
            found.append(GcsSource(outside).identity(URI))
        by.pop(next(iter(by)))
    assert [where in identity for where, identity in zip(
        ["key.json, named by GOOGLE_APPLICATION_CREDENTIALS", "chosen/application", "home/.config/gcloud", "metadata"],
        found, strict=True,
    )] == [True] * 4, found  # fmt: skip
    assert ACCOUNT in found[3]


def test_a_person_asks_as_gcloud_left_it_and_the_project_chosen_there_pays(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files of persons do not name the endpoint.
    monkeypatch.setattr(google_credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{google.url}/token")
    person_file(tmp_path / "application_default_credentials.json")
    with way_out(GcsSources(endpoint=google.url), environment={"CLOUDSDK_CONFIG": str(tmp_path)}) as outside:
        assert read(GcsSource(outside), URI) == CONTENT
        assert "named by gcloud" in GcsSource(outside).identity(URI)
    assert google.payers == ["payer"]


def test_nobody_in_particular_shows_nothing(google: Google) -> None:
    google.public = True
    with way_out(
        GcsSources(endpoint=google.url, anonymous=True), environment={"GCE_METADATA_HOST": google.host}
    ) as outside:
        assert read(GcsSource(outside), URI) == CONTENT
    assert google.shown == [None]
    assert google.issued == []


def test_a_bucket_with_credentials_is_not_anonymous_because_others_are(google: Google, tmp_path: Path) -> None:
    account_file(tmp_path / "key.json", token_url=f"{google.url}/token")
    own = {"bucket": GcsBucket(credentials="key.json")}
    with way_out(GcsSources(endpoint=google.url, anonymous=True, buckets=own), secrets=tmp_path) as outside:
        assert read(GcsSource(outside), URI) == CONTENT
        assert GcsSource(outside).identity(DependencyUri.parse("gs://other/a.jar")) == "anonymous"


def test_the_project_that_the_settings_name_pays(google: Google) -> None:
    google.public = True
    with way_out(GcsSources(endpoint=google.url, anonymous=True, user_project="payer/1")) as outside:
        source = GcsSource(outside)
        read(source, URI)
        source.stat(URI)
        list(source.list(URI, deep=True))
    assert [("userProject=payer%2F1" in path) for _, path in google.asked] == [True] * 3


# --- tokens


def test_many_threads_need_one_token(account: Outside, google: Google) -> None:
    source = GcsSource(account)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: read(source, URI, start=0, stop=100) == CONTENT[:100], range(40)))
    assert google.count("/token") == 1


def test_a_token_that_ends_soon_is_renewed(account: Outside, google: Google) -> None:
    google.lifetime = 0
    source = GcsSource(account)
    for _ in range(3):
        assert read(source, URI) == CONTENT
    assert len(set(google.shown)) == google.count("/token") == 3


def test_a_token_that_was_revoked_is_replaced_once(account: Outside, google: Google) -> None:
    source = GcsSource(account)
    read(source, URI)
    google.revoked = set(google.issued)
    assert read(source, URI) == CONTENT
    assert (google.count("/token"), google.count("/storage")) == (2, 3)


def test_credentials_that_are_not_accepted_are_told_after_one_new_token(account: Outside, google: Google) -> None:
    google.refusals = [refusal(401, "Invalid Credentials")] * 3
    with pytest.raises(Unauthenticated) as caught:
        read(GcsSource(account), URI)
    assert ACCOUNT in caught.value.detail
    assert (google.count("/token"), google.count("/storage")) == (2, 2)


def test_a_changed_key_file_is_used_for_the_next_token(account: Outside, google: Google) -> None:
    source = GcsSource(account)
    path = account.secret_file("key.json")
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "token_uri": f"{google.url}/elsewhere"}))
    with pytest.raises(Unauthenticated):
        read(source, URI)
    path.write_text(json.dumps(fields))
    assert read(source, URI) == CONTENT


# --- what is said


def test_a_missing_right_is_named_with_who_lacks_it(account: Outside, google: Google) -> None:
    said = f"{ACCOUNT} does not have storage.objects.get access to the object."
    for body in (refusal(403, said), (403, said.encode(), {"Content-Type": "text/html"})):
        google.refusals = [body]
        with pytest.raises(Denied) as caught:
            read(GcsSource(account), URI)
        assert caught.value.detail.startswith(ACCOUNT)
        assert said in caught.value.detail
    google.refusals = [refusal(403, "no")]
    with pytest.raises(Denied, match=r"storage\.objects\.list is missing"):
        list(GcsSource(account).list(URI, deep=True))


def test_what_is_not_public_is_told_to_need_credentials(google: Google) -> None:
    with way_out(GcsSources(endpoint=google.url, anonymous=True)) as outside:
        with pytest.raises(Unauthenticated, match="needs credentials"):
            read(GcsSource(outside), URI)
        google.refusals = [refusal(403, "Anonymous caller does not have access")]
        with pytest.raises(Denied, match="an anonymous request may not read"):
            read(GcsSource(outside), URI)


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_too_many_requests_pass_even_when_they_look_denied(account: Outside, google: Google, reason: str) -> None:
    google.refusals = [refusal(403, "slow down", reason=reason, **{"Retry-After": "7"})]
    with pytest.raises(TooManyRequests) as caught:
        read(GcsSource(account), URI)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_transient(account: Outside, google: Google, status: int) -> None:
    google.refusals = [refusal(status, "later", **{"Retry-After": "7"})]
    with pytest.raises(TransientError) as caught:
        GcsSource(account).stat(URI)
    assert caught.value.retry_after == 7
    assert google.count("/storage") == 1


def test_google_is_quoted_on_what_is_not_there_and_what_is_not_understood(account: Outside, google: Google) -> None:
    google.refusals = [
        refusal(404, "The specified bucket does not exist.\x1b[2J"),
        refusal(400, "Bucket is requester pays"),
    ]
    with pytest.raises(NotFound, match=r"The specified bucket does not exist\.\\x1b"):
        read(GcsSource(account), URI)
    with pytest.raises(InvalidRequest, match=r"Bucket is requester pays.*user_project"):
        read(GcsSource(account), URI)


def _wrong_key(folder: Path, google: Google) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return account_file(folder / "wrong.json", token_url=f"{google.url}/token", key=key)


def _ended_workload(folder: Path, google: Google) -> Path:
    path = workload_file(folder / "wrong.json", google=google.url)
    (folder / "subject-token").write_text("an-old-secret")
    return path


def _workload_without_token(folder: Path, google: Google) -> Path:
    path = workload_file(folder / "wrong.json", google=google.url)
    (folder / "subject-token").unlink()
    return path


def _forgotten_person(folder: Path, _: Google) -> Path:
    return person_file(folder / "wrong.json", refresh_token="an-old-secret")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (_wrong_key, "It is not known"), (_ended_workload, "The token is expired"),
        (_workload_without_token, "subject-token"), (_forgotten_person, "It is not known"),
    ],
)  # fmt: skip
def test_credentials_that_do_not_hold_are_told_without_showing_them(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Google], Path], word: str
) -> None:
    monkeypatch.setattr(google_credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{google.url}/token")
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(make(tmp_path, google))}
    with (
        way_out(GcsSources(endpoint=google.url), environment=environment) as outside,
        pytest.raises(Unauthenticated, match=word) as caught,
    ):
        read(GcsSource(outside), URI)
    assert "wrong.json, named by GOOGLE_APPLICATION_CREDENTIALS" in caught.value.detail
    assert not any(secret in caught.value.detail for secret in ("PRIVATE", "an-old-secret", "eyJ"))
    assert google.count("/storage") == 0


@pytest.mark.parametrize("status", [429, 500, 503])
def test_who_issues_tokens_may_answer_later_and_is_not_asked_again_at_once(
    account: Outside, google: Google, status: int
) -> None:
    google.broken["/token"] = status, b"", {"Retry-After": "7"}
    with pytest.raises(TransientError) as caught:
        read(GcsSource(account), URI)
    assert caught.value.retry_after == 7
    assert google.count("/token") == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, Unauthenticated), ("", Unauthenticated), ("[]", Unauthenticated), ("{}", InvalidRequest),
        ('{"type": "gdch_service_account"}', InvalidRequest), ('{"type": "service_account"}', Unauthenticated),
        ('{"type": "external_account"}', Unauthenticated), ('{"type": "authorized_user"}', Unauthenticated),
        ('{"type": "service_account", "client_email": "a", "token_uri": "b", "private_key": "c"}', Unauthenticated),
        (b"\xff", Unauthenticated),
    ],
)  # fmt: skip
def test_a_file_that_is_no_credentials_is_named(
    tmp_path: Path, content: str | bytes | None, error: type[Exception]
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with (
        way_out(GcsSources(endpoint="http://127.0.0.1:9", credentials="key.json"), secrets=tmp_path) as outside,
        pytest.raises(error, match=r"key\.json, named by sources\.json"),
    ):
        read(GcsSource(outside), URI)


def test_without_googles_library_a_file_says_what_to_install(account: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.oauth2", None)
    with pytest.raises(InvalidRequest, match=r"install spark-staging\[gcs\]"):
        read(GcsSource(account), URI)


# --- the metadata server


def test_without_any_identity_it_is_said_at_once_what_to_do() -> None:
    with way_out(GcsSources(endpoint="http://127.0.0.1:9"), environment={"NO_GCE_CHECK": "true"}) as outside:
        for word in ("gcs.credentials", "GOOGLE_APPLICATION_CREDENTIALS", "workload identity", "gcs.anonymous"):
            with pytest.raises(Unauthenticated, match=word):
                read(GcsSource(outside), URI)
        assert GcsSource(outside).identity(URI) == "nobody"


def test_a_metadata_server_that_is_not_there_yet_may_be_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with way_out(
        GcsSources(endpoint="http://127.0.0.1:9"), environment={"GCE_METADATA_HOST": "127.0.0.1:9"}
    ) as outside:
        source = GcsSource(outside)
        with pytest.raises(SourceUnavailable, match="no Google credentials were found"):
            read(source, URI)
        monkeypatch.setattr(metadata_server, "_READY_WITHIN", 0.0)
        with pytest.raises(Unauthenticated, match="no Google credentials were found"):
            read(source, URI)


@pytest.mark.parametrize("answer", [(404, b"not here"), (200, b"<html>"), (200, b'{"access_token": 1}'), (403, b"no")])
def test_what_another_cloud_answers_there_is_no_identity(google: Google, answer: tuple[int, bytes]) -> None:
    google.broken["/computeMetadata"] = (*answer, {})
    settings = GcsSources(endpoint=google.url)
    with way_out(settings, environment={"GCE_METADATA_HOST": google.host}) as outside:
        source = GcsSource(outside)
        for _ in range(3):
            with pytest.raises(Unauthenticated, match="no Google credentials were found"):
                read(source, URI)
        assert source.identity(URI) == "nobody"
    assert google.count("/computeMetadata") == 1


def test_an_account_without_an_address_is_still_an_account(google: Google) -> None:
    google.broken["/computeMetadata/v1/instance/service-accounts/default/email"] = 404, b"", {}
    with way_out(GcsSources(endpoint=google.url), environment={"GCE_METADATA_HOST": google.host}) as outside:
        source = GcsSource(outside)
        assert read(source, URI) == CONTENT
        assert "machine or pod (metadata server)" in source.identity(URI)


def test_a_metadata_server_that_fails_may_answer_later(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_server, "_READY_WITHIN", 0.0)
    google.broken["/computeMetadata"] = 503, b"", {"Retry-After": "7"}
    with (
        way_out(GcsSources(endpoint=google.url), environment={"GCE_METADATA_HOST": google.host}) as outside,
        pytest.raises(TransientError) as caught,
    ):
        read(GcsSource(outside), URI)
    assert caught.value.retry_after == 7


def test_a_metadata_server_that_was_there_will_be_there_again(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_server, "_READY_WITHIN", 0.0)
    google.lifetime = 0
    with way_out(GcsSources(endpoint=google.url), environment={"GCE_METADATA_HOST": google.host}) as outside:
        source = GcsSource(outside)
        assert read(source, URI) == CONTENT
        google.stop()
        with pytest.raises(TransientError):
            read(source, URI)


# --- secrets go nowhere else


def test_a_token_is_not_sent_to_another_machine_in_clear_text(google: Google) -> None:
    with (
        way_out(
            GcsSources(endpoint="http://storage.example"), environment={"GCE_METADATA_HOST": google.host}
        ) as outside,
        pytest.raises(RefusedByPolicy, match="in clear text"),
    ):
        read(GcsSource(outside), URI)
    assert google.issued == []


def test_an_assertion_is_not_sent_to_another_machine_in_clear_text(google: Google, tmp_path: Path) -> None:
    account_file(tmp_path / "key.json", token_url="http://tokens.example/token")
    with (
        way_out(GcsSources(endpoint=google.url, credentials="key.json"), secrets=tmp_path) as outside,
        pytest.raises(RefusedByPolicy, match="in clear text"),
    ):
        read(GcsSource(outside), URI)


# --- what is loaded

_LOADED = """
import json, sys
from pathlib import Path
from resolver.sources.gcs.source import GcsSource
from resolver.sources.outside import Outside
from staging_io.http import HttpClient
from staging_protocol.sources import GcsSources, SourceSettings
from staging_protocol.uris import DependencyUri
endpoint, environment = sys.argv[1], json.loads(sys.argv[2])
settings = SourceSettings(gcs=GcsSources(endpoint=endpoint))
outside = Outside(http=HttpClient(), settings=settings, secrets=Path("/"), environment=environment)
GcsSource(outside).stat(DependencyUri.parse("gs://bucket/a.jar"))
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in {"google", "requests", "urllib3"}]))
"""


def _loaded(google: Google, **environment: str) -> set[str]:
    command = [sys.executable, "-c", _LOADED, google.url, json.dumps(environment)]
    found: Any = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return set(found)


def test_workload_identity_needs_no_library(google: Google) -> None:
    assert _loaded(google, GCE_METADATA_HOST=google.host) == set()


def test_a_key_file_needs_a_part_of_google_auth_and_no_http_library(google: Google, tmp_path: Path) -> None:
    path = account_file(tmp_path / "key.json", token_url=f"{google.url}/token")
    loaded = _loaded(google, GOOGLE_APPLICATION_CREDENTIALS=str(path))
    assert "google.oauth2.service_account" in loaded
    assert not {name for name in loaded if name.startswith(("requests", "urllib3", "google.cloud"))}
