"""What can be wrong with the way to the staging server, and with who we are to it: each is told alone, with its fix."""

import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from tests.services.connect_proxy import connect_proxy
from tests.staging_server.certificates import write_pair
from tests.submission.conftest import Server, free_port
from tests.submission.doctor.conftest import Guarded, Site, WithTokens
from tests.submission.doctor.fronts import changed, website, with_certificate

pytestmark = pytest.mark.services


def test_no_url(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_URL="").only("server URL")

    assert "SPARK_STAGING_URL" in row["fix"]


def test_a_url_that_is_none(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_URL="staging.example:8480").only("server URL")

    assert "https://HOST" in row["fix"]


def test_a_wrong_dns_name(site: Site) -> None:
    row = site.doctor(SPARK_STAGING_URL="https://staging.invalid").only("server DNS")

    assert row["found"].startswith("staging.invalid has no address")
    assert "host name in SPARK_STAGING_URL" in row["fix"]


def test_a_refused_port(site: Site) -> None:
    port = free_port()

    row = site.doctor(SPARK_STAGING_URL=f"http://127.0.0.1:{port}").only("server port")

    assert f"nothing listens at 127.0.0.1:{port}" in row["found"]
    assert "correct the port" in row["fix"]


def test_plain_http_where_tls_is(site: Site, guarded: Guarded) -> None:
    row = site.doctor(SPARK_STAGING_URL=guarded.url.replace("https://", "http://")).only("server TLS")

    assert "speaks TLS, and the URL says http://" in row["found"]
    assert "write https://" in row["fix"]


def test_tls_where_plain_http_is(site: Site, server: Server) -> None:
    row = site.doctor(SPARK_STAGING_URL=server.url.replace("http://", "https://")).only("server TLS")

    assert "does not speak TLS" in row["found"]
    assert "write http://" in row["fix"]


def test_an_unknown_authority(site: Site, guarded: Guarded) -> None:
    row = site.doctor(SPARK_STAGING_URL=guarded.url).only("server TLS")

    assert "SPARK_STAGING_CA_FILE" in row["fix"]


@pytest.mark.parametrize(
    ("host", "days", "said", "fix"),
    [
        ("127.0.0.1", -1, "certificate has expired", "renew its certificate"),
        ("staging.example", 90, "certificate is not valid for '127.0.0.1'", "one of its names"),
    ],
    ids=["expired", "of-another-host"],
)
def test_a_certificate_that_does_not_hold(  # noqa: PLR0917 - a parameter each
    site: Site, tmp_path: Path, host: str, days: int, said: str, fix: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pair = tmp_path / "tls.crt", tmp_path / "tls.key"
    write_pair(*pair, authority=authority, host=host, lasts=timedelta(days=days))

    with with_certificate(*pair) as url:
        row = site.doctor(SPARK_STAGING_URL=url, SPARK_STAGING_CA_FILE=str(tmp_path / "ca.pem")).only("server TLS")

    assert said in row["found"]
    assert fix in row["fix"]


def test_a_ca_file_that_is_not_there(site: Site, guarded: Guarded) -> None:
    row = site.doctor(SPARK_STAGING_URL=guarded.url, SPARK_STAGING_CA_FILE="/nowhere/ca.pem").only("server TLS")

    assert "/nowhere/ca.pem is not a readable PEM file" in row["found"]


def test_clear_text_to_another_machine(site: Site) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:  # another one, as far as anybody knows
        row = site.doctor("--timeout", "5", SPARK_STAGING_URL=f"http://127.0.0.2:{listener.getsockname()[1]}").only(
            "server TLS"
        )

    assert "in clear text" in row["found"]
    assert "SPARK_STAGING_ALLOW_PLAIN_HTTP" in row["fix"]


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_not_a_staging_server(site: Site, status: int) -> None:
    with website(status) as url:
        row = site.doctor(SPARK_STAGING_URL=url).only("staging server")

    assert "staging server" in row["found"]
    assert "curl URL/v1/info" in row["fix"]


def test_a_server_that_does_not_answer(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report = site.doctor("--timeout", "3", SPARK_STAGING_URL=f"http://127.0.0.1:{listener.getsockname()[1]}")

    report.only("staging server")
    assert report.rows["rights"]["status"] == "ok"


@pytest.mark.parametrize(
    ("seconds", "status", "said"),
    [(3600, "fail", "behind the staging server"), (-120, "warn", "ahead of the staging server")],
)
def test_clocks_that_differ(site: Site, server: Server, seconds: int, status: str, said: str) -> None:
    def shifted(headers: dict[str, str], body: bytes) -> bytes:
        headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        return body

    with changed(server.url, shifted) as url:
        row = site.doctor(SPARK_STAGING_URL=url).only("server clock", status=status)

    assert said in row["found"]
    assert "NTP" in row["fix"]


def test_an_api_range_that_does_not_fit(site: Site, server: Server) -> None:
    def newer(_headers: dict[str, str], body: bytes) -> bytes:
        return body.replace(b'"api_versions":["v1"]', b'"api_versions":["v2","v3"]')

    with changed(server.url, newer) as url:
        row = site.doctor(SPARK_STAGING_URL=url).only("server API")

    assert row["found"] == "the server speaks v2, v3 of the API, and this client v1"
    assert "install spark-staging of the server's version" in row["fix"]


def test_a_server_that_is_much_newer(site: Site, server: Server) -> None:
    def newer(_headers: dict[str, str], body: bytes) -> bytes:
        found = json.loads(body)
        return json.dumps({**found, "server": "spark-staging/0.9.0"} if "server" in found else found).encode()

    with changed(server.url, newer) as url:
        row = site.doctor(SPARK_STAGING_URL=url).only("server API", status="warn")

    assert "more than one minor version apart" in row["found"]


@pytest.mark.parametrize("name", ["none", "wrong", "expired", "missing"])
def test_a_token_that_the_server_does_not_take(site: Site, with_tokens: WithTokens, name: str) -> None:
    (with_tokens.folder / "wrong").write_text((with_tokens.folder / "good").read_text().strip()[:-3] + "000")
    file = "" if name == "none" else str(with_tokens.folder / name)

    row = site.doctor(SPARK_STAGING_URL=with_tokens.url, SPARK_STAGING_TOKEN_FILE=file).only("server identity")

    assert "tokens create" in row["fix"]


def test_no_right_to_create_bundles(site: Site, with_tokens: WithTokens) -> None:
    token = str(with_tokens.folder / "reader")

    row = site.doctor(SPARK_STAGING_URL=with_tokens.url, SPARK_STAGING_TOKEN_FILE=token).only("server rights")

    assert "right to create" in row["found"]
    assert "verbs have create" in row["fix"]


def test_an_account_without_the_right_to_create_bundles(site: Site, guarded: Guarded) -> None:
    site.town.account(site.name, "visitor")

    row = site.doctor(
        SPARK_STAGING_URL=guarded.url, SPARK_STAGING_CA_FILE=guarded.authority, SPARK_STAGING_SERVICE_ACCOUNT="visitor",
    ).only("server rights")  # fmt: skip

    assert f"--clusterrole=spark-staging-submitter --serviceaccount={site.name}:visitor" in row["fix"]


def test_without_the_cluster_there_is_no_identity_of_it(site: Site, guarded: Guarded) -> None:
    report = site.doctor(
        SPARK_STAGING_URL=guarded.url, SPARK_STAGING_CA_FILE=guarded.authority,
        SPARK_STAGING_SERVICE_ACCOUNT="submitter", KUBECONFIG="/nowhere/kubeconfig",
    )  # fmt: skip

    report.only("kubeconfig")
    assert {"server identity", "server rights"} <= report.skipped()


def test_a_certificate_of_the_kubeconfig_is_no_identity_for_the_server(site: Site, guarded: Guarded) -> None:
    row = site.doctor(SPARK_STAGING_URL=guarded.url, SPARK_STAGING_CA_FILE=guarded.authority).only("server identity")

    assert "client certificate" in row["found"]
    assert "--service-account NAME" in row["fix"]


def test_a_proxy_that_does_not_let_us_through(site: Site) -> None:
    with connect_proxy({}, status=403) as proxy:
        row = site.doctor(SPARK_STAGING_URL="https://staging.example", HTTPS_PROXY=proxy.url).only("server port")

    assert "does not lead to staging.example" in row["found"]
    assert "add staging.example to NO_PROXY" in row["fix"]


def test_a_proxy_that_is_not_there(site: Site) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"

    row = site.doctor(SPARK_STAGING_URL="https://staging.example", HTTPS_PROXY=proxy).only("server port")

    assert "HTTPS_PROXY" in row["fix"]


def test_a_proxy_before_what_is_near(site: Site, server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with connect_proxy({"staging": port}) as proxy:
        row = site.doctor(
            SPARK_STAGING_URL="http://staging", HTTP_PROXY=proxy.url, SPARK_STAGING_ALLOW_PLAIN_HTTP="true"
        ).rows["proxies"]

    assert row["status"] == "warn"
    assert "add staging to NO_PROXY" in row["fix"]
