"""Spark's own properties say who we are, over the kubeconfig or without one, as for stock spark-submit."""

from pathlib import Path

import pytest
import trustme
import yaml

from staging_protocol.errors import InvalidRequest
from submission.kube.connect import access, kube_api
from tests.services.kube_api import KubeApi
from tests.submission.kube.scripted import write_kubeconfig

PREFIX = "spark.kubernetes.authenticate.submission."
MASTER = "k8s://https://api.example:6443"


def spark(**values: object) -> dict[str, str]:
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    return str(write_kubeconfig(tmp_path / "kubeconfig", "https://theirs.example", user={"token": "theirs"}))


def test_a_token_wins_over_that_of_the_kubeconfig(kubeconfig: str) -> None:
    found = access(kubeconfig=kubeconfig, context=None, spark=spark(oauthToken="ours"))

    assert found.identity.current().token == "ours"
    assert found.endpoint.address == "https://theirs.example"


def test_a_file_of_a_token_is_read_for_each_request(kubeconfig: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    found = access(kubeconfig=kubeconfig, context=None, spark=spark(oauthTokenFile=file))

    assert found.identity.current().token == "first"
    file.write_text("second")
    assert found.identity.current().token == "second"


def test_without_a_kubeconfig_the_master_and_a_credential_are_enough(tmp_path: Path) -> None:
    found = access(kubeconfig=str(tmp_path / "nowhere"), context=None, master=MASTER, spark=spark(oauthToken="ours"))

    assert found.endpoint.address == "https://api.example:6443"
    assert found.identity.current().token == "ours"


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_bytes(b"certificate")

    with pytest.raises(InvalidRequest, match="together"):
        access(
            kubeconfig=str(tmp_path / "nowhere"), context=None, master=MASTER, spark=spark(clientCertFile=certificate)
        )


def test_a_certificate_goes_with_its_key(kubeconfig: str, tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text(name)

    found = access(
        kubeconfig=kubeconfig,
        context=None,
        spark=spark(clientCertFile=tmp_path / "cert", clientKeyFile=tmp_path / "key"),
    )

    assert found.identity.current().certificate == b"cert\nkey"


def test_a_file_that_is_not_there_is_named_with_its_property(kubeconfig: str) -> None:
    with pytest.raises(InvalidRequest, match=r"nowhere \(spark.kubernetes.authenticate.submission.caCertFile\)"):
        access(kubeconfig=kubeconfig, context=None, spark=spark(caCertFile="nowhere"))


def test_an_authority_wins_and_trusting_everything_is_obeyed(kubeconfig: str, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(trustme.CA().cert_pem.bytes())

    found = access(kubeconfig=kubeconfig, context=None, spark=spark(caCertFile=authority))
    blind = access(kubeconfig=kubeconfig, context=None, spark={"spark.kubernetes.trust.certificates": "true"})

    assert (found.endpoint.authority, found.endpoint.verifies) == (authority.read_text(), True)
    assert not blind.endpoint.verifies


@pytest.mark.services
def test_a_real_api_server_takes_them_without_a_kubeconfig(kube: KubeApi, tmp_path: Path) -> None:
    stranger = yaml.safe_load(kube.stranger.read_text())
    properties = spark(
        oauthToken=stranger["users"][0]["user"]["token"],
        caCertFile=stranger["clusters"][0]["cluster"]["certificate-authority"],
    )

    with kube_api(
        kubeconfig=str(tmp_path / "nowhere"), context=None, master=f"k8s://{kube.url}", spark=properties
    ) as api:
        assert api.version().startswith("v1.")
