"""`lock` writes down what is there, `verify` and `diff` find out what is no longer so."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from tests.submission.conftest import Command
from tests.submission.remote.places import STATED, Web

pytestmark = pytest.mark.services


def lock_of(command: Command) -> dict[str, dict[str, Any]]:
    content = json.loads((command.folder / "deps.lock.json").read_text())
    return {entry["uri"]: entry for entry in content["entries"]}


def verified(command: Command, *options: str) -> tuple[int, dict[str, str]]:
    done = command.inside("verify", "-o", "json", *options)
    return done.returncode, {one["uri"]: one["status"] for one in json.loads(done.stdout)}


@pytest.fixture
def locked(remote: Command, web: Web) -> Command:
    """A remote jar, a remote archive with a fragment, a glob of local files, and their lock."""
    for name in ("lib/a.jar", "lib/b.jar"):
        remote.file(name, name)
    remote.json(
        "lock", "--jars", f"{web.put('r.jar', b'remote')},lib/*.jar", "--archives", f"{web.put('e.zip', b'zip')}#env"
    )
    return remote


def test_a_lock_has_everything_that_is_known(locked: Command, web: Web) -> None:
    lock = lock_of(locked)

    assert list(lock) == [f"{web.url}/e.zip", f"{web.url}/r.jar", "lib/a.jar", "lib/b.jar"]
    remote, archive, local = lock[f"{web.url}/r.jar"], lock[f"{web.url}/e.zip"], lock["lib/a.jar"]
    assert (remote["digest"], remote["size"], remote["target"]) == (Digest.of(b"remote"), 6, "r.jar")
    assert remote["version"].startswith('"')
    assert (archive["target"], archive["named"]) == ("env", f"{web.url}/e.zip#env")
    assert (local["named"], local["digest"]) == ("lib/*.jar", Digest.of(b"lib/a.jar"))
    assert "version" not in local


def test_locking_again_reads_nothing_and_changes_no_byte(locked: Command, web: Web) -> None:
    before, read = (locked.folder / "deps.lock.json").read_bytes(), len(web.requests("GET"))
    assert read == 2

    result = locked.json("lock")

    assert (result["read"], result["bytes_read"]) == (0, 0)
    assert (locked.folder / "deps.lock.json").read_bytes() == before
    assert len(web.requests("GET")) == read


def test_only_what_changed_is_read_again(locked: Command, web: Web) -> None:
    web.put("r.jar", b"remote, changed")

    result = locked.json("lock")

    assert result["read"] == 1
    assert [one["uri"] for one in result["changes"]["changed"]] == [f"{web.url}/r.jar"]
    assert lock_of(locked)[f"{web.url}/r.jar"]["digest"] == Digest.of(b"remote, changed")


def test_a_digest_that_the_source_states_costs_no_bytes(remote: Command, web: Web) -> None:
    web.put("s.jar", STATED)

    result = remote.json("lock", "--jars", f"{web.stating_url}/s.jar")

    assert result["read"] == 0
    assert lock_of(remote)[f"{web.stating_url}/s.jar"]["digest"] == Digest.of(STATED)
    assert web.requests("GET") == []


def test_nothing_is_locked_when_anything_is_wrong(locked: Command, web: Web) -> None:
    before = (locked.folder / "deps.lock.json").read_bytes()
    good, gone, denied = web.put("a.jar", b"x"), f"{web.url}/gone.jar", f"{web.denied_url}/d.jar"

    done = locked.inside("lock", "--jars", f"{good},{gone},{denied},none.jar")

    assert done.returncode == ExitCode.DENIED
    assert all(part in done.stderr for part in (gone, denied, "none.jar", "nothing was locked"))
    assert (locked.folder / "deps.lock.json").read_bytes() == before


def test_secrets_and_collisions_are_not_locked(remote: Command, web: Web) -> None:
    signed = f"{web.put('a.jar', b'x')}?X-Amz-Signature=c0ffee"
    remote.file("b.jar")

    secret = remote.inside("lock", "--jars", signed)
    collision = remote.inside("lock", "--jars", f"{web.put('b.jar', b'x')},b.jar")

    assert (secret.returncode, collision.returncode) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "c0ffee" not in secret.stderr
    assert "both become" in collision.stderr
    assert not (remote.folder / "deps.lock.json").exists()


def test_what_is_as_it_was_is_verified_without_its_bytes(locked: Command, web: Web) -> None:
    read = len(web.requests("GET"))

    code, found = verified(locked)

    assert code == 0
    assert set(found.values()) == {"ok"}
    assert len(web.requests("GET")) == read


DRIFTS = {
    "a remote file changed": ExitCode.DIGEST_MISMATCH,
    "a remote file is gone": ExitCode.NOT_FOUND,
    "a local file changed": ExitCode.DIGEST_MISMATCH,
    "a glob has one more": ExitCode.REFUSED_BY_POLICY,
    "a glob has one less": ExitCode.NOT_FOUND,
}


def drift(how: str, command: Command, web: Web) -> str:
    """Change something; return the URI that is concerned."""
    match how:
        case "a remote file changed":
            return web.put("r.jar", b"something else")
        case "a remote file is gone":
            (web.plain.root / web.folder / "r.jar").unlink()
            return f"{web.url}/r.jar"
        case "a local file changed":
            command.file("lib/a.jar", "another")
            return "lib/a.jar"
        case "a glob has one more":
            command.file("lib/c.jar", "new")
            return "lib/c.jar"
        case _:
            (command.folder / "lib/b.jar").unlink()
            return "lib/b.jar"


@pytest.mark.parametrize("how", DRIFTS)
def test_verify_finds_each_drift(locked: Command, web: Web, how: str) -> None:
    uri = drift(how, locked, web)

    code, found = verified(locked)

    assert code == DRIFTS[how]
    assert [name for name, status in found.items() if status != "ok"] == [uri]
    text = locked.inside("verify").stdout.partition("\n\n")[2]
    assert uri in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "how", ["a remote file changed", "a local file changed", "a glob has one more", "a glob has one less"]
)
def test_diff_finds_each_drift(locked: Command, web: Web, how: str) -> None:
    uri = drift(how, locked, web)

    done = locked.inside("diff", "-o", "json")

    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    where = {"a glob has one more": "added", "a glob has one less": "removed"}.get(how, "changed")
    assert {name: [one["uri"] for one in ones] for name, ones in found.items() if ones} == {where: [uri]}
    assert uri in locked.inside("diff").stdout


def test_only_the_whole_content_tells_bytes_that_changed_under_the_same_version(locked: Command, web: Web) -> None:
    path = web.plain.root / web.folder / "r.jar"
    before = path.stat()
    path.write_bytes(b"REMOTE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert verified(locked)[0] == 0
    code, found = verified(locked, "--full")

    assert code == ExitCode.DIGEST_MISMATCH
    assert found[f"{web.url}/r.jar"] == "changed"


def test_another_version_of_the_same_bytes_is_cleared_by_the_whole_content(locked: Command, web: Web) -> None:
    path = web.plain.root / web.folder / "r.jar"
    os.utime(path, (0, 0))

    text = locked.inside("verify")
    assert text.returncode == ExitCode.DIGEST_MISMATCH
    assert "--full" in text.stdout
    assert verified(locked, "--full")[0] == 0


def test_two_locks_are_compared_without_any_request(locked: Command, web: Web) -> None:
    Path(locked.folder / "old.json").write_bytes((locked.folder / "deps.lock.json").read_bytes())
    web.put("r.jar", b"something else")
    locked.json("lock")
    asked = len(web.requests("HEAD"))

    done = locked.inside("diff", "old.json", "deps.lock.json")
    same = locked.inside("diff", "deps.lock.json", "deps.lock.json")

    assert done.returncode == 1
    first, *details = done.stdout.splitlines()
    assert first == f"~ jar     {web.url}/r.jar"
    assert [line.split()[0] for line in details] == ["size", "digest", "version"]
    assert (same.returncode, same.stdout) == (0, "")
    assert len(web.requests("HEAD")) == asked


def test_a_lock_is_compared_with_what_a_command_names(locked: Command, web: Web) -> None:
    locked.file("app.jar", "the application")

    done = locked.inside("diff", "--jars", f"{web.url}/r.jar,lib/*.jar", "--main", "app.jar", "-o", "json")

    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [one["uri"] for one in found["added"]] == ["app.jar"]
    assert [one["uri"] for one in found["removed"]] == [f"{web.url}/e.zip"]
    assert found["changed"] == []


def test_trouble_is_not_a_difference(locked: Command, web: Web) -> None:
    drift("a remote file is gone", locked, web)

    assert locked.inside("diff").returncode == ExitCode.NOT_FOUND
    assert locked.inside("diff", "absent.json").returncode == ExitCode.NOT_FOUND
    assert locked.inside("diff", "deps.lock.json", "deps.lock.json", "--jars", "x.jar").returncode == ExitCode.USAGE
