"""`--frozen`: what the lock does not have, byte for byte, is refused before anything is created."""

import json

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.tokens import Token
from tests.submission.conftest import Command, Server
from tests.submission.remote.places import Web

pytestmark = pytest.mark.services


@pytest.fixture
def names(remote: Command, web: Web) -> tuple[str, ...]:
    """What the job names: a remote jar, an archive with a fragment, local jars, the application."""
    for name in ("lib/a.jar", "lib/b.jar", "app.jar"):
        remote.file(name, name)
    jar, archive = web.put("r.jar", b"remote"), web.put("e.zip", b"zip")
    return ("--jars", f"{jar},lib/*.jar", "--archives", f"{archive}#env", "app.jar")


@pytest.fixture
def locked(remote: Command, names: tuple[str, ...]) -> Command:
    remote.json("lock", *names)
    return remote


def test_a_locked_job_is_staged_with_its_digests(
    locked: Command, names: tuple[str, ...], web: Web, server: Server
) -> None:
    read = len(web.requests("GET"))

    result = locked.json("stage", "--frozen", *names, "--show-token")

    manifest = server.client(Token.parse(result["token"])).manifest(result["namespace"], result["bundle"])
    digests = {str(entry.target): (entry.size, entry.digest) for entry in manifest.entries}
    assert digests["r.jar"] == (6, Digest.of(b"remote"))
    assert digests["env"] == (3, Digest.of(b"zip"))
    assert len(web.requests("GET")) == read


def test_a_lock_may_have_more_than_the_job(locked: Command, names: tuple[str, ...]) -> None:
    assert locked.json("stage", "--frozen", *names[2:])["bundle"]


REFUSED = {
    "another dependency": (ExitCode.REFUSED_BY_POLICY, "is not in deps.lock.json"),
    "another target": (ExitCode.REFUSED_BY_POLICY, "is to be named other"),
    "one more in a glob": (ExitCode.REFUSED_BY_POLICY, "lib/c.jar"),
    "one less in a glob": (ExitCode.REFUSED_BY_POLICY, "lib/b.jar"),
    "a changed local file": (ExitCode.DIGEST_MISMATCH, "lib/a.jar"),
    "a remote file of another size": (ExitCode.DIGEST_MISMATCH, "size 14 instead of 6"),
}


def drifted(how: str, names: tuple[str, ...], command: Command, web: Web) -> tuple[str, ...]:
    """Change something; return what the job names then."""
    match how:
        case "another dependency":
            return (*names, "--files", web.put("more.csv", b"x"))
        case "another target":
            return tuple(name.replace("#env", "#other") for name in names)
        case "one more in a glob":
            command.file("lib/c.jar", "new")
        case "one less in a glob":
            (command.folder / "lib/b.jar").unlink()
        case "a changed local file":
            command.file("lib/a.jar", "another")
        case _:
            web.put("r.jar", b"something else")
    return names


@pytest.mark.parametrize("how", REFUSED)
def test_each_drift_is_refused_and_nothing_is_created(
    *, how: str, locked: Command, names: tuple[str, ...], web: Web, server: Server, namespace: str
) -> None:
    named = drifted(how, names, locked, web)

    done = locked.inside("stage", "--frozen", *named)

    code, why = REFUSED[how]
    assert done.returncode == code, done.stderr
    assert why in done.stderr
    assert server.client().bundles(namespace).bundles == ()


def test_all_drifts_are_told_at_once(locked: Command, names: tuple[str, ...], web: Web) -> None:
    for how in ("one more in a glob", "a changed local file", "a remote file of another size"):
        drifted(how, names, locked, web)

    done = locked.inside("stage", "--frozen", "--files", f"{web.url}/gone.csv", *names)

    assert done.returncode == ExitCode.REFUSED_BY_POLICY
    assert "4 problems, nothing was created" in done.stderr
    assert f"{web.url}/gone.csv" in done.stderr
    assert all(part in done.stderr for part in ("lib/c.jar", "lib/a.jar", f"{web.url}/r.jar"))


def test_template_and_run_are_frozen_too(locked: Command, names: tuple[str, ...], web: Web) -> None:
    program = locked.file("bin/spark-submit", "#!/bin/sh\n")
    program.chmod(0o755)
    locked.environment["PATH"] = f"{program.parent}:{locked.environment['PATH']}"
    cluster = ("--master", "k8s://http://127.0.0.1:1", "--deploy-mode", "cluster", "--class", "a.B")
    template = ("template", "--frozen", "--into", "pods", "--spark-version", "4.3", *names)
    run = ("run", "--frozen", "--dry-run", "--spark-version", "4.3", "--", "spark-submit", *cluster, *names)
    assert [locked.inside(*line).returncode for line in (template, run)] == [0, 0]

    drifted("a changed local file", names, locked, web)

    assert [locked.inside(*line).returncode for line in (template, run)] == [ExitCode.DIGEST_MISMATCH] * 2


def test_the_lock_of_a_whole_command_is_what_run_wants(remote: Command, names: tuple[str, ...], web: Web) -> None:
    """What is named by options, --conf and --properties-file alike."""
    remote.file(
        "nightly.conf", f"spark.archives {names[3]}\nspark.submit.pyFiles lib.zip\nspark.jars not-in-force.jar\n"
    )
    for name in ("lib.zip", "more.csv", "bin/spark-submit"):
        remote.file(name, "#!/bin/sh\n").chmod(0o755)
    remote.environment["PATH"] = f"{remote.folder / 'bin'}:{remote.environment['PATH']}"
    spark_submit = (
        "spark-submit", "--master", "k8s://http://127.0.0.1:1", "--deploy-mode", "cluster", "--class", "a.B",
        "--properties-file", "nightly.conf", "--conf", "spark.files=more.csv", *names[:2], "app.jar", "--jars", "x.jar",
    )  # fmt: skip

    assert remote.inside("lock", "--", *spark_submit).returncode == 0

    content = json.loads((remote.folder / "deps.lock.json").read_text())
    assert {entry["target"] for entry in content["entries"]} == {
        "r.jar", "a.jar", "b.jar", "env", "lib.zip", "more.csv", "app.jar",
    }  # fmt: skip
    run = ("run", "--frozen", "--dry-run", "--spark-version", "4.3", "--", *spark_submit)
    assert remote.inside(*run).returncode == 0

    drifted("a changed local file", names, remote, web)

    assert remote.inside(*run).returncode == ExitCode.DIGEST_MISMATCH


@pytest.mark.parametrize(
    "words",
    [("a.jar", "b.jar"), ("--jars", "a.jar", "--", "spark-submit", "app.jar"), ("--", "spark-submit", "--wrong", "a")],
)
def test_what_is_neither_a_main_resource_nor_a_command_is_not_locked(words: tuple[str, ...], remote: Command) -> None:
    done = remote.inside("lock", *words)

    assert done.returncode == ExitCode.USAGE
    assert not (remote.folder / "deps.lock.json").exists()


def test_without_reaching_the_sources_the_lock_says_everything(
    locked: Command, names: tuple[str, ...], web: Web, server: Server
) -> None:
    drifted("a remote file of another size", names, locked, web)
    asked = len(web.requests("HEAD"))

    result = locked.json("stage", "--frozen", "--no-check", *names, "--show-token")

    manifest = server.client(Token.parse(result["token"])).manifest(result["namespace"], result["bundle"])
    assert {entry.digest for entry in manifest.entries if entry.target == "r.jar"} == {Digest.of(b"remote")}
    assert len(web.requests("HEAD")) == asked


def test_a_pod_notices_bytes_that_changed_behind_the_lock(locked: Command, names: tuple[str, ...], web: Web) -> None:
    names = tuple(name for name in names if name not in {"--archives", f"{web.url}/e.zip#env"})
    bundle = locked.json("stage", "--frozen", *names, "--bundle-token-file", "token")["bundle"]
    arguments = ("resolve", f"bundle:{bundle}", "--token-file", "token", "--into")
    assert locked.inside(*arguments, "before").returncode == 0

    web.put("r.jar", b"REMOTE")
    done = locked.inside(*arguments, "after")

    assert done.returncode == ExitCode.DIGEST_MISMATCH, done.stderr
    assert not (locked.folder / "after/spark-jars/r.jar").exists()


def test_a_lock_is_resolved_but_for_what_is_local(locked: Command, web: Web) -> None:
    web.put("e.zip", b"")
    content = json.loads((locked.folder / "deps.lock.json").read_text())
    content["entries"] = [entry for entry in content["entries"] if entry["kind"] == "jar"]
    locked.file("jars.lock.json", json.dumps(content))

    done = locked.inside("resolve", "jars.lock.json", "--into", "out")

    assert done.returncode == 0, done.stderr
    assert [path.name for path in (locked.folder / "out/spark-jars").iterdir()] == ["r.jar"]
    assert "lib/a.jar is a local file and stays where it is" in done.stderr


def test_a_manifest_is_resolved_as_the_lock_has_it(locked: Command, web: Web) -> None:
    entries = [{"uri": f"{web.url}/r.jar", "kind": "jar", "target": "r.jar"}]
    locked.file("manifest.json", json.dumps({"version": 1, "entries": entries}))
    frozen = ("resolve", "manifest.json", "--frozen", "--into", "out")
    assert locked.inside(*frozen).returncode == 0

    web.put("r.jar", b"REMOTE")
    changed = locked.inside(*frozen[:-1], "other")
    locked.file("manifest.json", json.dumps({"version": 1, "entries": [*entries, {**entries[0], "target": "x.jar"}]}))
    renamed = locked.inside(*frozen)

    assert changed.returncode == ExitCode.DIGEST_MISMATCH
    assert renamed.returncode == ExitCode.REFUSED_BY_POLICY
    assert "is to be named x.jar" in renamed.stderr


def test_a_staged_bundle_is_resolved_as_the_lock_has_it(locked: Command, names: tuple[str, ...], web: Web) -> None:
    names = tuple(name for name in names if name not in {"--archives", f"{web.url}/e.zip#env"})
    locked.file("lib/a.jar", "not what was locked")
    bundle = locked.json("stage", *names, "--bundle-token-file", "token")["bundle"]

    done = locked.inside("resolve", f"bundle:{bundle}", "--token-file", "token", "--frozen", "--into", "out")

    assert done.returncode == ExitCode.DIGEST_MISMATCH
    assert "staged:///jar/a.jar" in done.stderr
    assert not (locked.folder / "out").exists()


def test_a_lock_that_would_not_be_looked_at_is_a_mistake(locked: Command) -> None:
    done = locked.inside("stage", "--lock", "deps.lock.json", "app.jar")

    assert done.returncode == ExitCode.USAGE
    assert "--frozen" in done.stderr


def test_without_a_lock_frozen_says_what_writes_one(remote: Command) -> None:
    remote.file("app.jar")

    done = remote.inside("stage", "--frozen", "app.jar")

    assert done.returncode == ExitCode.NOT_FOUND
    assert "spark-staging lock" in done.stderr
