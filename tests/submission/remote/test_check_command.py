"""`check` says of each dependency what it is, or what to mend."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from tests.submission.conftest import Command
from tests.submission.remote.places import STATED, Web, reaches_loopback, unreachable_url

pytestmark = pytest.mark.services


def checked(command: Command, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code, and what JSON says."""
    done = command.inside("check", *arguments, "-o", "json")
    return done.returncode, json.loads(done.stdout)


def rows(text: str) -> Iterator[list[str]]:
    """Return the cells of each line of the table."""
    for line in text.partition("\n\n")[0].splitlines():
        yield line.split()


def test_a_table_has_a_line_for_each_and_what_is_wrong_stands_below(remote: Command, web: Web) -> None:
    good, gone = web.put("a.jar", b"x" * 2048), f"{web.url}/gone.jar"
    denied, dead = f"{web.denied_url}/a.jar", f"{unreachable_url()}/a.jar"
    remote.file("local.jar", b"x" * 10)

    done = remote.inside("check", good, gone, denied, dead, "local.jar")

    assert done.returncode == ExitCode.DENIED, done.stderr
    heading, *lines = rows(done.stdout)
    assert heading[:2] == ["STATUS", "SIZE"]
    assert [(line[0], line[-1]) for line in lines] == [
        ("ok", good), ("not-found", gone), ("denied", denied), ("source-unavailable", dead), ("ok", "local.jar"),
    ]  # fmt: skip
    assert lines[0][1:3] == ["2.0", "KiB"]
    below = done.stdout.partition("\n\n")[2].splitlines()
    assert below[0] == f"asked as nobody: {good} and 3 more"
    for url in (gone, denied, dead):
        assert any(line.startswith(url) for line in below)
    assert len(below) == 4


def test_who_has_no_credentials_reads_so_once(remote: Command) -> None:
    remote.environment["AWS_EC2_METADATA_DISABLED"] = "true"

    done = remote.inside("check", "s3a://libs/a.jar")

    assert done.returncode == ExitCode.DENIED, done.stderr
    assert done.stdout.count("no credentials for S3 were found") == 1


def test_the_columns_stand_under_one_another(remote: Command, web: Web) -> None:
    done = remote.inside("check", web.put("a.jar", b"x"), web.put("with-a-longer-name.jar", b"x" * 100_000))

    lines = done.stdout.partition("\n\n")[0].splitlines()
    assert len(lines) == 3
    assert len({line.index("http://") for line in lines[1:]} | {lines[0].index("URI")}) == 1
    assert len({line.index('"') for line in lines[1:]} | {lines[0].index("VERSION")}) == 1


def test_json_has_everything(remote: Command, web: Web) -> None:
    web.put("a.jar", STATED)

    code, (one,) = checked(remote, "--jars", f"{web.stating_url}/a.jar")

    assert code == 0
    assert one["status"] == "ok"
    assert one["named_by"] == "--jars"
    assert one["size"] == len(STATED)
    assert one["version"]["strong"] is True
    assert one["digest"] == Digest.of(STATED)
    assert one["checksums"] == ["sha256"]
    assert one["error"] is None


def test_a_server_of_an_unknown_authority_is_told_and_a_named_one_is_trusted(remote: Command, web: Web) -> None:
    web.put("a.jar", b"x")
    url = f"{web.secure_url}/a.jar"

    code, (unknown,) = checked(remote, url)
    trusted, (known,) = checked(remote, url, "--ca-file", str(web.authority))

    assert (code, trusted) == (ExitCode.UNAVAILABLE, 0)
    assert unknown["error"]["code"] == "peer-not-trusted"
    assert unknown["error"]["retryable"] is False
    assert known["size"] == 1


def test_what_the_rules_of_egress_forbid_is_refused_and_not_asked_for(command: Command, web: Web) -> None:
    url = web.put("a.jar", b"x")

    code, (one,) = checked(command, url)

    assert code == ExitCode.REFUSED_BY_POLICY
    assert "egress" in one["error"]["detail"]
    assert web.requests("HEAD") == []


def test_nothing_is_asked_twice_unless_it_may_pass(remote: Command, web: Web) -> None:
    good, busy = web.put("a.jar", b"x"), f"{web.plain.url}/busy/{web.folder}/a.jar"

    code, found = checked(remote, good, f"{web.url}/gone.jar", busy)

    assert code == ExitCode.NOT_FOUND, "what may pass counts less than what does not"
    assert [one["status"] for one in found] == ["ok", "not-found", "source-unavailable"]
    asked = web.requests("HEAD")
    assert [sum(part in path for path in asked) for part in ("/a.jar", "gone", "busy")] == [3, 1, 2]
    assert web.requests("GET") == []


def test_secrets_are_never_printed_and_a_presigned_url_may_be_checked(remote: Command, web: Web) -> None:
    url = web.put("a.jar", b"x")
    signed, with_user = f"{url}?X-Amz-Signature=c0ffee", url.replace("//", "//ali:open-sesame@")

    for form in ("text", "json"):
        done = remote.inside("check", signed, with_user, f"{signed}x/gone", "-o", form)
        said = done.stdout + done.stderr
        assert "c0ffee" not in said
        assert "sesame" not in said
        assert url in said


def test_the_mirror_that_has_it_is_named(command: Command, web: Web) -> None:
    url = web.put("maven/a.jar", b"x")
    prefix = "https://repo.invalid/maven2/"
    mirrors = [{"prefix": prefix, "to": [f"{web.url}/nothing/", f"{web.url}/maven/"]}]
    reaches_loopback(command, mirrors=mirrors)

    code, (one,) = checked(command, f"{prefix}a.jar")
    text = command.inside("check", f"{prefix}a.jar").stdout

    assert (code, one["found_at"]) == (0, url)
    assert one["uri"] == f"{prefix}a.jar"
    assert "FROM" in text


def test_a_manifest_and_a_lock_are_checked_entry_by_entry(remote: Command, web: Web) -> None:
    entries = [{"uri": web.put("a.jar", b"x"), "kind": "jar", "target": "a.jar"}]
    remote.file("manifest.json", json.dumps({"version": 1, "entries": entries}))

    code, found = checked(remote, "--manifest", "manifest.json")

    assert code == 0
    assert [(one["uri"], one["named_by"]) for one in found] == [(entries[0]["uri"], "manifest.json")]


def test_local_globs_are_expanded_and_each_problem_is_told(command: Command) -> None:
    command.file("lib/a.jar")
    command.file("lib/b.jar")
    (command.folder / "folder").mkdir()

    code, found = checked(command, "--jars", "lib/*.jar,none/*.jar,folder")

    assert code == ExitCode.NOT_FOUND
    assert [(one["uri"], one["status"]) for one in found] == [
        ("lib/a.jar", "ok"), ("lib/b.jar", "ok"), ("none/*.jar", "not-found"), ("folder", "invalid-request"),
    ]  # fmt: skip


def test_a_web_folder_cannot_be_listed_and_nothing_named_is_a_mistake(remote: Command, web: Web) -> None:
    code, (one,) = checked(remote, f"{web.url}/*.jar")

    assert (code, one["status"]) == (ExitCode.USAGE, "invalid-request")
    assert remote.inside("check").returncode == ExitCode.USAGE
