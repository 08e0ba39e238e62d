"""What a kubeconfig means: the same as to kubectl."""

import base64
import traceback
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from staging_protocol.errors import InvalidRequest
from submission.kube.connect import Access, access, kube_api
from submission.kube.endpoint import address_of
from submission.kube.kubeconfig import paths_of
from tests.submission.kube.scripted import Scripted, obj

SECRETIVE = "a-token-of-a-kubeconfig"
AUTHORITY = trustme.CA()
PEM = AUTHORITY.cert_pem.bytes()
ISSUED = AUTHORITY.issue_cert("127.0.0.1")


def written(
    folder: Path,
    *,
    name: str = "kubeconfig",
    context: str | None = "here",
    user: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
) -> Path:
    """Write a kubeconfig whose entries are all called as its context, which is current unless it is None."""
    called = context or "here"
    content: dict[str, Any] = {
        "contexts": [{"name": called, "context": {"cluster": called, "user": called}}],
        "clusters": [{"name": called, "cluster": {"server": f"https://{called}.example", **(cluster or {})}}],
        "users": [{"name": called, "user": user or {}}],
    }
    if context is not None:
        content["current-context"] = context
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def read(*paths: Path, context: str | None = None) -> Access:
    return access(kubeconfig=":".join(map(str, paths)), context=context)


class TestSeveralFiles:
    def test_the_first_one_to_name_something_wins(self, tmp_path: Path) -> None:
        first = written(tmp_path, name="first", user={"token": "one"})
        second = written(tmp_path, name="second", user={"token": "two"}, cluster={"server": "https://other.example"})

        found = read(first, second)

        assert found.endpoint.address == "https://here.example"
        assert found.identity.current().token == "one"

    def test_what_one_does_not_have_comes_from_another(self, tmp_path: Path) -> None:
        first = written(tmp_path, name="first", context=None)
        second = written(tmp_path, name="second", context="there")

        assert read(first, second).endpoint.address == "https://there.example"
        assert read(first, second, context="here").endpoint.address == "https://here.example"

    def test_files_that_are_not_there_are_passed_over(self, tmp_path: Path) -> None:
        there = written(tmp_path)

        assert read(tmp_path / "absent", there).endpoint.address == "https://here.example"

    def test_paths_are_relative_to_the_file_in_which_they_stand(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "ca.pem").write_bytes(PEM)
        first = written(tmp_path, name="first", context=None)
        second = written(tmp_path / "elsewhere", context="there", cluster={"certificate-authority": "ca.pem"})

        assert read(first, second).endpoint.authority == PEM.decode()

    def test_the_usual_file_is_taken_without_a_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))

        assert paths_of(None) == paths_of("") == [tmp_path / ".kube" / "config"]
        assert paths_of("a::~/b") == [Path("a"), tmp_path / "b"]


class TestCluster:
    def test_data_wins_over_a_file(self, tmp_path: Path) -> None:
        data = base64.b64encode(PEM).decode()
        path = written(tmp_path, cluster={"certificate-authority-data": data, "certificate-authority": "/absent"})

        assert read(path).endpoint.authority == PEM.decode()

    def test_names_trust_and_proxies_are_what_the_entry_says(self, tmp_path: Path) -> None:
        known = {"tls-server-name": "inner", "insecure-skip-tls-verify": True, "proxy-url": "http://proxy.example"}

        found = read(written(tmp_path, cluster=known)).endpoint

        assert (found.server_name, found.verifies, found.proxy) == ("inner", False, "http://proxy.example")

    @pytest.mark.parametrize(
        ("cluster", "why"),
        [
            ({"server": None}, "has no `server`"),
            ({"server": "ftp://x"}, "is not the address of an API server"),
            ({"proxy-url": "socks5://x"}, "not one of http or https"),
            ({"certificate-authority": "absent.pem"}, r"absent\.pem .* cannot be read: No such file"),
            ({"certificate-authority-data": "***"}, "certificate-authority-data of .* is malformed"),
            ({"certificate-authority-data": base64.b64encode(b"\xff").decode()}, "certificate-authority of .*"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, cluster: dict[str, Any], why: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=why):
            read(written(tmp_path, cluster=cluster))

    @pytest.mark.parametrize(
        ("master", "address"),
        [
            ("k8s://https://a.example:6443", "https://a.example:6443"),
            ("k8s://a.example:6443", "https://a.example:6443"),
            ("k8s://http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
            ("https://rancher.example/k8s/clusters/c-1", "https://rancher.example/k8s/clusters/c-1"),
        ],
    )
    def test_a_master_means_what_it_means_to_spark(self, master: str, address: str) -> None:
        assert address_of(master) == address

    @pytest.mark.parametrize("master", ["", "k8s://", "k8s://ftp://x", f"k8s://https://me:{SECRETIVE}@x"])
    def test_a_master_that_is_no_address_is_refused(self, master: str, tmp_path: Path) -> None:
        with (
            pytest.raises(InvalidRequest, match="is not the address of an API server, as in k8s://") as failure,
            kube_api(kubeconfig=str(written(tmp_path)), context=None, master=master),
        ):
            pass

        assert SECRETIVE not in failure.value.detail

    def test_an_authority_that_is_no_certificate_is_named(self, tmp_path: Path) -> None:
        data = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n").decode()
        path = written(tmp_path, cluster={"server": "https://127.0.0.1:1", "certificate-authority-data": data})

        with (
            kube_api(kubeconfig=str(path), context=None, master=None) as api,
            pytest.raises(InvalidRequest, match="certificate-authority of the kubeconfig holds no certificates"),
        ):
            api.version()


class TestUser:
    def test_digits_and_dates_are_tokens_too(self, tmp_path: Path) -> None:
        path = written(tmp_path)
        path.write_text(path.read_text().replace("user: {}", "user: {token: 2026-01-01}"))

        assert read(path).identity.current().token == "2026-01-01"

    def test_a_file_with_the_token_wins_over_one_that_is_written_down(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("of-the-file\n")

        assert read(written(tmp_path, user={"token": "old", "tokenFile": "token"})).identity.current().token == (
            "of-the-file"
        )

    def test_a_token_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"token file .*/absent .* cannot be read: No such file"):
            read(written(tmp_path, user={"tokenFile": "absent"})).identity.current()

    @pytest.mark.parametrize("nothing", ["", "~", "null"])
    def test_what_is_written_as_nothing_is_not_there(self, nothing: str, tmp_path: Path) -> None:
        path = written(tmp_path)
        fields = "".join(f"{name}: {nothing}\n      " for name in ("exec", "token", "client-key-data", "as-groups"))
        path.write_text(path.read_text().replace("user: {}", f"user:\n      {fields}"))

        assert read(path).identity.user.words == "the user 'here' of the kubeconfig (anonymous)"

    def test_name_and_password_are_basic_authentication(self, server: Scripted, tmp_path: Path) -> None:
        server.will(obj({}))
        path = written(tmp_path, user={"username": "me", "password": "pass"}, cluster={"server": server.url})

        with kube_api(kubeconfig=str(path), context=None, master=None) as api:
            api.version()

        assert server.asked[0].headers["Authorization"] == "Basic bWU6cGFzcw=="

    def test_whom_the_user_acts_as_is_told_to_the_server(self, server: Scripted, tmp_path: Path) -> None:
        server.will(obj({}))
        path = written(
            tmp_path, user={"as": "jane", "as-groups": ["dev"], "as-uid": "7"}, cluster={"server": server.url}
        )

        with kube_api(kubeconfig=str(path), context=None, master=None) as api:
            api.version()
            assert api.user == "the user 'here' of the kubeconfig (anonymous), acting as jane"

        headers = server.asked[0].headers
        assert [headers[f"Impersonate-{what}"] for what in ("User", "Group", "Uid")] == ["jane", "dev", "7"]

    def test_the_token_of_openid_connect_is_taken_from_where_kubectl_renews_it(self, tmp_path: Path) -> None:
        provider = {"name": "oidc", "config": {"id-token": "a.b.c", "refresh-token": "x"}}

        assert read(written(tmp_path, user={"auth-provider": provider})).identity.current().token == "a.b.c"

    @pytest.mark.parametrize(
        ("user", "why"),
        [
            ({"auth-provider": {"name": "gcp"}}, "auth-provider 'gcp', .* install gke-gcloud-auth-plugin"),
            ({"auth-provider": {"name": "azure", "config": {}}}, "kubelogin"),
            ({"auth-provider": {"name": "other"}}, "let your cloud's tool write the kubeconfig anew"),
            ({"client-certificate-data": "eA=="}, "a client-certificate without a client-key"),
            ({"client-key": "absent.key", "client-certificate-data": "eA=="}, r"absent\.key .* cannot be read"),
            ({"as": "jane", "as-groups": ["a", "b"]}, "only `as` with one group works"),
            ({"as": "jane", "as-user-extra": {"a": ["b"]}}, "only `as` with one group works"),
            ({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, "exec of .* has no `command`"),
            ({"exec": SECRETIVE}, "exec of .* is malformed"),
            ({"exec": {"command": "x", "args": [[SECRETIVE]]}}, "args of exec of .* is malformed"),
            ({"exec": {"command": "x", "env": [SECRETIVE]}}, "env of exec of .* is malformed"),
        ],
    )
    def test_what_cannot_be_used_is_named_and_not_shown(self, user: dict[str, Any], why: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=why) as failure:
            read(written(tmp_path, user=user))

        assert SECRETIVE not in "".join(traceback.format_exception(failure.value))

    @pytest.mark.parametrize("key", [b"no key", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"])
    def test_a_certificate_that_cannot_be_used_is_told_without_its_key(self, key: bytes, tmp_path: Path) -> None:
        pair = {"client-certificate-data": PEM, "client-key-data": key}
        user = {name: base64.b64encode(data).decode() for name, data in pair.items()}
        path = written(tmp_path, user=user, cluster={"server": "https://127.0.0.1:1"})

        with (
            kube_api(kubeconfig=str(path), context=None, master=None) as api,
            pytest.raises(InvalidRequest, match="client certificate of the kubeconfig, or its key, cannot be used"),
        ):
            api.version()

    def test_nothing_of_a_user_is_in_a_repr(self, tmp_path: Path) -> None:
        key = base64.b64encode(ISSUED.private_key_pem.bytes()).decode()
        certificate = base64.b64encode(ISSUED.cert_chain_pems[0].bytes()).decode()
        user = {
            "token": SECRETIVE, "password": SECRETIVE, "client-key-data": key, "client-certificate-data": certificate,
            "exec": {"command": "x", "args": [SECRETIVE], "env": [{"name": "A", "value": SECRETIVE}]},
        }  # fmt: skip
        identity = read(written(tmp_path, user=user)).identity

        shown = repr(identity.user) + repr(identity.current()) + repr(identity.user.login)

        assert SECRETIVE not in shown
        assert "PRIVATE KEY" not in shown
