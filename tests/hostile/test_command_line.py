"""Arguments, files and URIs that no honest person gives: an exit code of the table, one plain line, nothing written."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from staging_protocol.errors import ExitCode
from submission.cli import main

_NOBODY: Final = "http://127.0.0.1:9"
_ID: Final = "a" * 26
_NOT_FOUND, _USAGE, _REFUSED = ExitCode.NOT_FOUND, ExitCode.USAGE, ExitCode.REFUSED_BY_POLICY


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home with a few things that are no dependencies."""
    work = tmp_path / "work"
    work.mkdir()
    for name in [name for name in os.environ if name.startswith("SPARK_")]:  # noqa: TID251 - what a person has set
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARK_STAGING_RETRY_SECONDS", "0")
    monkeypatch.chdir(work)
    os.mkfifo("pipe.jar")
    Path("folder.jar").mkdir()
    Path("loop.jar").symlink_to("loop.jar")
    Path("a.jar").write_bytes(b"a")
    Path("b").mkdir()
    Path("b/a.jar").write_bytes(b"b")
    Path("evil\x1b[2J.jar").write_bytes(b"c")
    before = signal.getsignal(signal.SIGTERM)
    yield work
    signal.signal(signal.SIGTERM, before)


def _run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["spark-staging", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


_JARS: Final[dict[str, tuple[str, int]]] = {
    "empty": (" ", _USAGE),
    "missing": ("missing.jar", _NOT_FOUND),
    "a-pipe": ("pipe.jar", _USAGE),
    "a-folder": ("folder.jar", _USAGE),
    "a-loop-of-links": ("loop.jar", _USAGE),
    "an-endless-device": ("/dev/zero", _USAGE),
    "the-terminal": ("/dev/tty", _USAGE),
    "memory-of-the-process": ("/proc/self/mem", _USAGE),
    "no-glob": ("nothing-*.jar", _NOT_FOUND),
    "nul": ("a\0.jar", _USAGE),
    "newline": ("https://h/a\nb.jar", _USAGE),
    "no-path": ("https://host", _USAGE),
    "dot-dot-encoded": ("https://h/%2e%2e", _USAGE),
    "slash-encoded": ("https://h/a%2fb.jar", _USAGE),
    "no-utf-8-encoded": ("https://h/%ff.jar", _USAGE),
    "target-outside": ("a.jar#../up.jar", _USAGE),
    "target-absolute": ("a.jar#/etc/passwd", _USAGE),
    "target-turned-around": ("a.jar#\u202egpj.jar", _USAGE),
    "target-of-64-kib": ("a.jar#" + "a" * 65536, _USAGE),
    "of-another-machine": ("file://other/a.jar", _USAGE),
    "user-info": ("https://me:hunter2@h/a.jar", _USAGE),
    "signature": ("https://h/a.jar?X-Amz-Signature=hunter2", _USAGE),
    "escape-sequence": ("https://h/\x1b[2J.jar", _USAGE),
    "c1-control": ("https://h/\x9b2J.jar", _USAGE),
    "same-target-twice": ("a.jar,b/a.jar", _USAGE),
    "same-target-in-another-case": ("a.jar,b/a.jar#A.JAR", _USAGE),
    "bytes-that-are-no-text": ("a\udcff.jar", _USAGE),
    "name-that-acts-on-the-terminal": ("evil\x1b[2J.jar", _USAGE),
}


@pytest.mark.parametrize("name", _JARS)
def test_a_dependency_that_is_none_is_refused_before_anything_is_sent(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    jar, code = _JARS[name]
    before = _tree(tmp_path)
    found = _run(["stage", "--url", _NOBODY, "-n", "team-a", "--jars", jar], monkeypatch)
    shown = capfd.readouterr()
    assert found == code, shown.err
    _is_plain(shown.err)
    assert shown.out == ""
    assert _tree(tmp_path) - {"cache"} == before


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://h", _USAGE), ("http://", _USAGE), ("http://h:99999", _USAGE), ("http://[::1", _USAGE), ("h", _USAGE),
        ("javascript:alert(1)", _USAGE), ("http://h\r\nX: y", _USAGE), ("http://h\x1b[2J", _USAGE),
        ("file:///etc/passwd", _USAGE), (_NOBODY, ExitCode.UNAVAILABLE),
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(
    url: str, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = _run(["bundles", "list", "--url", url, "-n", "team-a"], monkeypatch)
    shown = capfd.readouterr()
    assert found == code, shown.err
    _is_plain(shown.err)


@pytest.mark.parametrize("text", ["..", "A" * 26, f"{_ID}\n", "%00", f"{_ID}/../{_ID}", "a" * 65536, "", "\x1b[2J"])
@pytest.mark.parametrize("command", ["show", "delete", "explain"])
def test_what_is_no_bundle_id_is_refused_before_anything_is_sent(
    text: str, command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = _run(["bundles", command, text, "--url", _NOBODY, "-n", "team-a"], monkeypatch)
    shown = capfd.readouterr()
    assert found == _USAGE, shown.err
    _is_plain(shown.err)


def _manifest(*entries: tuple[str, str, str]) -> str:
    """Return a manifest of URIs, kinds and targets."""
    return json.dumps({"entries": [dict(zip(("uri", "kind", "target"), entry, strict=True)) for entry in entries]})


_MANIFESTS: Final[dict[str, tuple[str, int]]] = {
    "no-json": ("{", _USAGE),
    "deep": ('{"entries":' + "[" * 100_000, _USAGE),
    "outside": (_manifest(("https://h/a", "jar", "../../x")), _USAGE),
    "a-local-file": (_manifest(("file:///etc/passwd", "jar", "a")), _USAGE),
    "a-plain-path": (_manifest(("/etc/passwd", "jar", "a")), _USAGE),
    "a-bundle-of-nobody": (_manifest(("staged:///jar/a", "jar", "a")), _USAGE),
    "unknown-scheme": (_manifest(("gopher://h/a", "jar", "a")), _USAGE),
    "unknown-kind": (_manifest(("https://h/a", "script", "a")), _USAGE),
    "hidden-name": (_manifest(("https://h/a", "jar", ".spark-staging-x.part")), _USAGE),
    "same-target": (_manifest(("https://h/a", "jar", "a"), ("https://h/b", "jar", "A")), _USAGE),
    "user-info-in-clear-text": (_manifest(("http://u:p@h.example/a", "jar", "a")), _REFUSED),
}


@pytest.mark.parametrize("name", _MANIFESTS)
def test_a_hostile_manifest_brings_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text, code = _MANIFESTS[name]
    (tmp_path / "manifest.json").write_text(text)
    found = _run(["resolve", str(tmp_path / "manifest.json"), "--into", str(tmp_path / "into")], monkeypatch)
    shown = capfd.readouterr()
    assert found == code, shown.err
    _is_plain(shown.err)
    # What a run by hand has begun stays under a hidden name, for the next one to go on with or to remove.
    visible = [path for path in (tmp_path / "into").rglob("*") if path.is_file() and path.name[0] != "."]
    assert not visible


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "cache" not in path.parts}


def _is_plain(text: str) -> None:
    with suppress(UnicodeError):
        text = text.encode("utf-8", "surrogateescape").decode()
    assert "Traceback" not in text
    assert "hunter2" not in text
    assert all(line.isprintable() for line in text.splitlines()), repr(text)
