"""Where nothing is wrong, doctor says so, and changes nothing."""

import pytest

from submission.doctor.check_table import CHECKS
from submission.doctor.findings import Status
from tests.staging_server.auth.cluster import Cluster
from tests.submission.conftest import Server
from tests.submission.doctor.conftest import ACCOUNT, IMAGE, Guarded, Site, WithTokens

pytestmark = pytest.mark.services


def test_a_sound_set_up_is_all_ok(site: Site, guarded: Guarded) -> None:
    report = site.doctor(
        SPARK_STAGING_URL=guarded.url,
        SPARK_STAGING_CA_FILE=guarded.authority,
        SPARK_STAGING_SERVICE_ACCOUNT="submitter",
    )

    assert {name: row for name, row in report.rows.items() if row["status"] != Status.OK} == {}
    assert report.code == 0
    assert list(report.rows) == [check.name for check in CHECKS]


def test_it_is_sound_with_an_access_token_too(site: Site, with_tokens: WithTokens) -> None:
    report = site.doctor(SPARK_STAGING_URL=with_tokens.url, SPARK_STAGING_TOKEN_FILE=str(with_tokens.folder / "good"))

    assert report.not_ok() | report.skipped() == set()


def test_it_is_sound_without_a_command_when_flags_say_enough(site: Site, town: Cluster) -> None:
    # The account `default` of a namespace is made by a controller, which the API server of tests has not.
    town.account(site.name, "default", role="cluster-admin")

    report = site.run("--image", IMAGE, "-n", site.name)

    assert report.not_ok() | report.skipped() == set()
    assert report.rows["command"]["found"] == "none was given: what any job needs is looked at"


def test_options_of_submit_in_the_command_count(site: Site) -> None:
    report = site.run(
        "--", "--pod-url", "https://127.0.0.1", "--namespace", site.name, "--deploy-mode", "cluster",
        "--conf", f"spark.kubernetes.container.image={IMAGE}", "--conf", f"{ACCOUNT}=spark", "local:///opt/app.jar",
    )  # fmt: skip

    report.only("pod URL")


def test_nothing_is_left_in_the_namespace_nor_on_the_server(site: Site, town: Cluster, server: Server) -> None:
    site.doctor()

    assert server.client().bundles(site.name).bundles == ()
    core = town.kube.core
    assert core.list_namespaced_pod(site.name).items == []
    assert core.list_namespaced_secret(site.name).items == []
    assert core.list_namespaced_config_map(site.name).items == []


def test_nothing_secret_is_shown(site: Site, server: Server) -> None:
    url = server.url.replace("://", "://me:a-secret-word@")

    done = site.plainly("-n", site.name, "--image", IMAGE, SPARK_STAGING_URL=url)

    assert "a-secret-word" not in done.stdout + done.stderr
    assert "://[redacted]@127.0.0.1" in done.stdout


def test_people_get_a_table_and_what_to_do(site: Site) -> None:
    done = site.plainly(
        "-n", site.name, "--image", IMAGE, SPARK_STAGING_URL="", SPARK_STAGING_INIT_IMAGE="registry.example/init:9.9.0"
    )

    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].split() == ["CHECK", "STATUS", "FOUND"]
    assert "server URL           fail     no staging server is known" in lines
    assert "server DNS           skipped  because of: server URL" in lines
    assert "  server URL: set SPARK_STAGING_URL, --url, or url in the file of settings" in lines
    assert lines[-1].startswith("jobs cannot be submitted: ")
    assert done.stderr == ""
