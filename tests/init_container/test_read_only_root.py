"""The root of our container is read-only: to find credentials, SDKs write nothing, and need no HOME."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.manifest import Kind
from tests.init_container import test_init_container as init
from tests.init_container.test_init_container import Pod
from tests.init_container.test_sources import LOOPBACK, tell
from tests.resolver.faulty_server import FaultyServer

WATCHED = """\
import json, os, sys
root = os.environ["SPARK_STAGING_ROOT"]
def watch(event, arguments):
    wrote = event in ("os.mkdir", "os.rename", "subprocess.Popen", "tempfile.mkstemp", "tempfile.mkdtemp")
    if event == "open" and isinstance(arguments[2], int):
        wrote = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if wrote and root not in str(arguments):
        sys.stderr.write(json.dumps({"event": "wrote", "arguments": str(arguments)}) + "\\n")
sys.dont_write_bytecode = True  # images have it already
sys.addaudithook(watch)
from init_container.cli import main
code = main()
loaded = sorted({"botocore"} & set(sys.modules))
sys.stderr.write(json.dumps({"event": "loaded", "modules": loaded}) + "\\n")
sys.exit(code)
"""
ANSWER = b"""\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIATEST</AccessKeyId><SecretAccessKey>secret-of-the-role</SecretAccessKey>
<SessionToken>session-of-the-role</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
"""


@pytest.fixture
def cloud() -> Iterator[FaultyServer]:
    """A token service, and a bucket."""
    with FaultyServer() as server:
        server.faults["/"] = [lambda handler: handler.answer(200, ANSWER, Content_Type="text/xml")]
        yield server


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    monkeypatch.setattr(init, "COMMAND", [sys.executable, "-c", WATCHED])
    with FaultyServer() as server:
        yield Pod(tmp_path, server)


def web_identity(folder: Path, cloud: FaultyServer) -> dict[str, str]:
    """What the webhook of EKS gives to every container of a pod."""
    token = folder / "aws-token"
    token.write_text("eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl")
    return {
        "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/spark-reads",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_STS": cloud.url,
    }


def test_a_pod_reads_from_s3_with_the_role_of_its_service_account_and_writes_into_its_volumes_only(
    pod: Pod, cloud: FaultyServer, tmp_path: Path
) -> None:
    cloud.put("jars/a.jar", b"jar")
    pod.add("s3a://jars/a.jar", Kind.JAR, "a.jar", b"jar")
    pod.environment = web_identity(tmp_path, cloud)
    tell(pod, {**LOOPBACK, "s3": {"endpoint": cloud.url, "path_style": True}, "allow_plain_http": True})

    code, log = pod.run()

    assert code == 0, log
    events: list[dict[str, Any]] = [line for line in log if line["event"] in {"wrote", "loaded"}]
    assert events == [{"event": "loaded", "modules": ["botocore"]}]
    assert (pod.root / "var/spark-data/spark-jars/a.jar").read_bytes() == b"jar"
    (asked,) = cloud.headers
    assert "Credential=ASIATEST/" in asked["authorization"]
    assert "secret-of-the-role" not in str(log)
