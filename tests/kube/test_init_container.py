"""The init container's image, and its failures as an operator sees them in a pod."""

import json
from typing import Any

import pytest

from staging_protocol.errors import ExitCode
from staging_protocol.pod_contract import TOKEN_KEY
from staging_protocol.tokens import BundleId, Token, TokenKind
from tests.kube.cluster import Cluster
from tests.kube.evidence import InitOutcome
from tests.kube.init_pod import try_to_read
from tests.kube.installation import Installation
from tests.kube.probe import Finished

pytestmark = pytest.mark.kube

NOT_IN_THE_IMAGE = ("staging_server", "submission", "aiohttp", "sqlalchemy", "kubernetes", "boto3", "click", "pydantic")
IN_THE_IMAGE = ("botocore", "google.auth", "google_crc32c")
LIST_MODULES = """\
import importlib.util, json, pathlib, sys, sysconfig
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
packages = pathlib.Path(sysconfig.get_path("purelib"))
compiled = [path.name for path in packages.glob("init_container/__pycache__/*.pyc")]
models = sorted(path.name for path in packages.glob("botocore/data/*") if path.is_dir())
print(json.dumps({"missing": missing, "compiled": compiled, "models": models}))
"""


def test_the_init_image_holds_neither_server_nor_submission_and_of_sdks_what_finds_credentials(
    cluster: Cluster, installation: Installation
) -> None:
    command = ["/opt/spark-staging/bin/python", "-c", LIST_MODULES, *NOT_IN_THE_IMAGE, *IN_THE_IMAGE]
    container = {"name": "python", "image": installation.init_image, "command": command}
    pod = {"containers": [container], "restartPolicy": "Never"}
    found = json.loads(run_pod(cluster, name="look-into-init-image", spec=pod))
    assert found["missing"] == list(NOT_IN_THE_IMAGE)
    assert found["models"] == ["signin", "sso", "sso-oidc", "sts"]
    assert found["compiled"], "without bytecode every start would compile anew"


def test_a_wrong_token_ends_with_the_exit_code_of_not_found(cluster: Cluster, finished_jobs: list[Finished]) -> None:
    token = Token.generate(TokenKind.BUNDLE, identifier=BundleId(finished_jobs[0].bundle))
    outcome = failing_init(cluster, finished_jobs[0], name="wrong-token", token=token.text)
    assert outcome.exit_code == ExitCode.NOT_FOUND
    assert outcome.message["outcome"] == "failed"
    assert outcome.message["code"] == "not-found"


def test_a_token_that_was_cut_is_a_usage_error_that_does_not_repeat_it(
    cluster: Cluster, finished_jobs: list[Finished]
) -> None:
    token = Token.generate(TokenKind.BUNDLE, identifier=BundleId(finished_jobs[0].bundle)).text[:-3]
    outcome = failing_init(cluster, finished_jobs[0], name="cut-token", token=token)
    assert outcome.exit_code == ExitCode.USAGE
    assert token not in json.dumps(outcome.message)


def failing_init(cluster: Cluster, finished: Finished, *, name: str, token: str) -> InitOutcome:
    """Start a pod with a real job's init container, but another token, and return how that container ended."""
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {TOKEN_KEY: token}})
    return try_to_read(cluster, finished.pods[0], name=name, secret=name)


def run_pod(cluster: Cluster, *, name: str, spec: dict[str, Any]) -> str:
    """Run a pod to its end and return its log."""
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    cluster.wait_for_end(name)
    return cluster.logs(name)
