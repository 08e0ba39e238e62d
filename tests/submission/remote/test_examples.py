"""The examples of docs/uris.md as they are, run: a proxy leads the hosts that they name to servers of the test."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.source_files import read_sources, secret_keys
from tests.conftest import missing
from tests.resolver.fake_hdfs import FakeHdfs
from tests.resolver.faulty_server import FaultyServer
from tests.resolver.google import ACCOUNT, Google, account_file
from tests.resolver.s3.fake_aws import ROLE, WEB_TOKEN, FakeAws, Reply
from tests.resolver.s3.served import with_environment
from tests.services.connect_proxy import connect_proxy
from tests.services.fake_gcs import FakeGcsMissing, running_fake_gcs
from tests.services.tls_front import tls_front
from tests.submission.conftest import Command

pytestmark = pytest.mark.services

EXAMPLES: Final = Path(__file__).parents[3] / "deploy" / "examples" / "sources"
CONTENT: Final = b"jar" * 1000
HOSTS: Final = (
    "*.s3.eu-central-1.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "*.s3.us-west-2.amazonaws.com",
    "sts.eu-central-1.amazonaws.com", "minio.storage.svc", "storage.googleapis.com", "oauth2.googleapis.com",
    "*.example.com",
)  # fmt: skip
TOKEN: Final = "HAAEaGRmcwRoZGZzAIoBogSGY2mKAaIokudpAQ"


@dataclass(frozen=True)
class World:
    """The servers, and the port of each behind the proxy."""

    aws: FakeAws
    google: Google
    hdfs: FakeHdfs
    web: FaultyServer
    ports: Mapping[str, int]
    secrets: Mapping[str, bytes]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, authority = tmp_path_factory.mktemp("world"), trustme.CA()
    with ExitStack() as stack:
        try:
            storage = stack.enter_context(running_fake_gcs(folder))
        except FakeGcsMissing as error:
            missing(str(error))
        for bucket in ("jars", "open-data", "partner-data"):
            storage.make_bucket(bucket)
            storage.put(bucket, "a.jar", CONTENT)
        aws = stack.enter_context(FakeAws(authority, *HOSTS))
        google, hdfs = stack.enter_context(Google(storage.url)), stack.enter_context(FakeHdfs())
        web = stack.enter_context(FaultyServer())
        plain = {"hdfs": hdfs.url, "google": google.url, "web": web.url}
        ports = {name: int(url.rpartition(":")[2]) for name, url in plain.items()}
        for name in plain:
            ports[f"{name} over TLS"] = stack.enter_context(tls_front(ports[name], authority=authority, names=HOSTS))
        strict = tls_front(ports["web"], authority=authority, names=HOSTS, wants_certificate=True)
        ports |= {"aws": aws.port, "strict": stack.enter_context(strict)}
        yield World(aws, google, hdfs, web, ports, _secrets(folder, authority))


def _secrets(folder: Path, authority: trustme.CA) -> dict[str, bytes]:
    """Return what the keys of the Secrets hold, by the names that the examples give them."""
    ca, pair = authority.cert_pem.bytes(), authority.issue_cert("job@example.com")
    keys = "aws_access_key_id = AKIAFILEFILEFILEFILE\naws_secret_access_key = file-secret\n"
    site = {
        "dfs.nameservices": "prod", "dfs.ha.namenodes.prod": "nn1,nn2",
        "dfs.namenode.http-address.prod.nn1": "nn1.example.com:9870",
        "dfs.namenode.http-address.prod.nn2": "nn2.example.com:9870",
    }  # fmt: skip
    lines = (f"<property><name>{name}</name><value>{value}</value></property>" for name, value in site.items())
    google = account_file(folder / "key.json", token_url="https://oauth2.googleapis.com/token")
    return {
        "aws-key/id": b"AKIAKEYKEYKEYKEYKEYK\n", "aws-key/secret": b"key-secret\n",
        "minio/ca.crt": ca, "minio/credentials": f"[default]\n{keys}".encode(),
        "partner/credentials": f"[partner]\n{keys}".encode(), "gcs-key/key.json": google.read_bytes(),
        "hdfs-token/ca.crt": ca, "hdfs-token/token": TOKEN.encode(),
        "hdfs-site/hdfs-site.xml": f"<configuration>{''.join(lines)}</configuration>".encode(),
        "nexus/username": b"ada\n", "nexus/password": b"lovelace\n", "artifactory/api-key": b"a-key\n",
        "packages/token": b"a-token\n", "repo-tls/ca.crt": ca, "repo-tls/tls.crt": pair.cert_chain_pems[0].bytes(),
        "repo-tls/tls.key": pair.private_key_pem.bytes(), "any/ca.crt": ca,
    }  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An example: what it is asked for, where the hosts lead, as whom it is asked, and what the servers saw."""

    example: str
    uris: tuple[str, ...]
    ways: Mapping[str, str]
    identity: tuple[str, ...]
    saw: Callable[[World], Any] = lambda _: None
    expected: Any = None
    environment: Mapping[str, str] = field(default_factory=dict)


def _keys(world: World) -> Any:
    return sorted({(one.host, one.key, "x-amz-request-payer" in one.headers) for one in world.aws.of_s3()}, key=str)


def _operations(world: World) -> Any:
    asked = [one for one in world.hdfs.asked if one.operation == "GETFILESTATUS"]
    return {(one.path, one.parameters.get("user.name"), one.parameters.get("delegation")) for one in asked}


def _payers(world: World) -> Any:
    asked = [path for _, path in world.google.asked if path.startswith("/storage/")]
    return {(path.partition("/b/")[2].partition("/")[0], "userProject=our-project" in path) for path in asked}


def _shown(world: World) -> Any:
    return {(sent["Host"], sent.get("Authorization"), sent.get("X-JFrog-Art-Api")) for sent in world.web.headers}


_EU: Final = "jars.s3.eu-central-1.amazonaws.com"
CASES: Final = (
    Case(
        "s3-workload-identity", ("s3a://jars/a.jar",), {_EU: "aws", "sts.eu-central-1.amazonaws.com": "aws"},
        (f"of {ROLE}, by web identity",), _keys, [(_EU, "ASIATESTTESTTESTTEST", False)],
        # What EKS puts into pods.
        {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "web-token", "AWS_REGION": "eu-central-1"},
    ),
    Case(
        "s3-secret", ("s3a://jars/a.jar",), {_EU: "aws"}, ("aws-key/id",), _keys,
        [(_EU, "AKIAKEYKEYKEYKEYKEYK", False)],
    ),
    Case(
        "s3-endpoint", ("s3a://jars/a.jar",), {"minio.storage.svc": "aws"}, ("profile default in",), _keys,
        [("minio.storage.svc:9000", "AKIAFILEFILEFILEFILE", False)],
    ),
    Case(
        "s3-buckets", ("s3a://open-data/a.jar", "s3a://partner-data/b.jar"),
        {"open-data.s3.us-west-2.amazonaws.com": "aws", "partner-data.s3.us-east-1.amazonaws.com": "aws"},
        ("anonymous", "profile partner in"), _keys,
        [
            ("open-data.s3.us-west-2.amazonaws.com", None, False),
            ("partner-data.s3.us-east-1.amazonaws.com", "AKIAFILEFILEFILEFILE", True),
        ],
    ),
    Case(
        "gcs-workload-identity", ("gs://open-data/a.jar", "gs://partner-data/a.jar#b.jar"),
        {"storage.googleapis.com": "google over TLS"}, ("anonymous", ACCOUNT),
        _payers, {("open-data", False), ("partner-data", True)},
    ),
    Case(
        "gcs-service-account", ("gs://jars/a.jar",),
        {"storage.googleapis.com": "google over TLS", "oauth2.googleapis.com": "google over TLS"}, (ACCOUNT,),
        lambda world: world.google.count("/token") > 0, True,
    ),
    Case(
        "hdfs-nameservice", ("hdfs://prod/a.jar", "hdfs://old-nn.example.com:8020/b.jar"),
        {"nn1.example.com": "hdfs", "old-nn.example.com": "hdfs", "dn.example.com": "hdfs"},
        ("the user etl", "the user legacy"), _operations, {("/a.jar", "etl", None), ("/b.jar", "legacy", None)},
    ),
    Case(
        "hdfs-delegation-token", ("hdfs://secure/a.jar",),
        {"nn1.example.com": "hdfs over TLS", "dn.example.com": "hdfs over TLS"}, ("the delegation token in",),
        _operations, {("/a.jar", None, TOKEN)},
    ),
    Case(
        "hdfs-site", ("hdfs://prod/a.jar",), {"nn1.example.com": "hdfs", "dn.example.com": "hdfs"}, ("the user etl",),
        _operations, {("/a.jar", "etl", None)},
    ),
    Case(
        "http-repositories",
        (
            "https://nexus.example.com/a.jar", "https://artifactory.example.com/b.jar",
            "https://packages.example.com:8443/c.jar", "https://other.example.com/d.jar",
        ),
        dict.fromkeys(("nexus.example.com", "artifactory.example.com", "packages.example.com", "other.example.com"),
                      "web over TLS"),
        ("the user 'ada' (nexus/username)", "whom X-JFrog-Art-Api names", "(packages/token)", "nobody"), _shown,
        {
            ("nexus.example.com", "Basic YWRhOmxvdmVsYWNl", None), ("artifactory.example.com", None, "a-key"),
            ("packages.example.com:8443", "Bearer a-token", None), ("other.example.com", None, None),
        },
    ),
    Case(
        "http-client-certificate", ("https://repo.example.com/a.jar",), {"repo.example.com": "strict"},
        ("the owner of a client certificate (repo-tls/tls.crt)",),
    ),
    Case(
        "mirrors", ("https://repo1.maven.org/maven2/a.jar",), {"nexus.example.com": "web over TLS"}, ("nobody",),
        lambda world: {path for _, path, _ in world.web.requests}, {"/repository/maven-central/a.jar"},
    ),
)  # fmt: skip


@pytest.fixture
def emptied(world: World) -> World:
    """The servers, as if nobody had asked yet."""
    world.aws.asked.clear()
    world.aws.before_answer = lambda: setattr(world.aws, "answers", [Reply(200, CONTENT, {"ETag": '"1"'})])
    world.google.asked.clear()
    world.google.public = True
    world.hdfs.asked.clear()
    world.hdfs.has(CONTENT)
    for sent in (world.web.headers, world.web.requests):
        sent.clear()
    names = ("a.jar", "b.jar", "c.jar", "d.jar", "repository/maven-central/a.jar")
    world.web.files = {f"/{name}": CONTENT for name in names}
    return world


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.example)
def test_an_example_reaches_what_the_page_says(case: Case, emptied: World, command: Command) -> None:
    text = (EXAMPLES / f"{case.example}.json").read_bytes()
    command.file("sources.json", text)
    for secret, keys in secret_keys(read_sources(text)).items():
        for key in keys:
            command.file(f"{secret}/{key}", emptied.secrets[f"{secret}/{key}"])
    command.file("web-token", WEB_TOKEN)
    command.file("any.pem", emptied.secrets["any/ca.crt"])
    scheme = "https" if case.ways.get("nn1.example.com") == "hdfs over TLS" else "http"
    emptied.hdfs.answers["OPEN"] = [emptied.hdfs.redirect(f"{scheme}://dn.example.com:9864/webhdfs/v1/a.jar?op=DATA")]
    with connect_proxy({host: emptied.ports[to] for host, to in case.ways.items()}) as proxy:
        command.environment |= with_environment(case.environment) | {
            "HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, "SPARK_STAGING_SOURCES": "sources.json",
            "SPARK_STAGING_CA_FILE": "any.pem", "GCE_METADATA_HOST": emptied.google.host,
        }  # fmt: skip
        found = command.json("check", *case.uris)
        command.json("lock", "--jars", ",".join(case.uris))

    assert [(one["status"], one["size"]) for one in found] == [("ok", len(CONTENT))] * len(case.uris)
    for one, word in zip(found, case.identity, strict=True):
        assert word in one["identity"]
    assert case.saw(emptied) == case.expected
    locked = json.loads((command.folder / "deps.lock.json").read_bytes())["entries"]
    assert {entry["digest"] for entry in locked} == {Digest.of(CONTENT)}


def test_the_example_of_egress_refuses_what_it_says(emptied: World, command: Command) -> None:
    command.file("sources.json", (EXAMPLES / "egress.json").read_bytes())
    command.file("any.pem", emptied.secrets["any/ca.crt"])
    with connect_proxy({"repo.example.com": emptied.ports["web over TLS"]}) as proxy:
        command.environment |= with_environment({}) | {
            "HTTPS_PROXY": proxy.url, "SPARK_STAGING_SOURCES": "sources.json", "SPARK_STAGING_CA_FILE": "any.pem"
        }  # fmt: skip
        done = command.inside(
            "check", "https://repo.example.com/a.jar", "https://build.example.com/a.jar", "http://repo.example.com/a.jar",
            "https://10.1.2.3/a.jar", "s3a://team-b/a.jar", "-o", "json",
        )  # fmt: skip

    assert done.returncode == ExitCode.REFUSED_BY_POLICY
    refused = [one["status"] == "refused-by-policy" for one in json.loads(done.stdout)]
    assert refused == [False, True, True, True, False]


def test_every_example_is_run() -> None:
    """But for that of proxies, whose fields other tests set: its proxy would have to be found by name."""
    shown = {path.stem for path in EXAMPLES.glob("*.json")}
    assert {case.example for case in CASES} | {"egress", "proxy"} == shown
