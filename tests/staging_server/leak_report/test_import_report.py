"""What the command prints, and what comes of running what it prints."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from staging_server.leak_report.deletion import delete_command
from staging_server.leak_report.report import Report
from staging_server.leak_report.shown import shown
from tests.staging_server.cluster.lab import Lab
from tests.staging_server.leak_report.asking import make_driver, make_properties, report, run
from tests.staging_server.leak_report.conftest import Uploads

_ROOT = Path(__file__).parents[3]


@pytest.mark.services
@pytest.mark.parametrize("folder", ["uploads", "up 'loads'\n\x1b[2J\\ é", "-rf"])
def test_the_printed_command_deletes_what_no_live_job_names_and_nothing_else(
    folder: str, lab: Lab, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path / folder)
    tenant = lab.make_namespace()
    live, old = uploads.add({"app.jar": b"x"}), uploads.add({"a\nb": b"x"}, at="by\nmonth")
    young, middle = uploads.add({"app.jar": b"x"}, days=0.5), uploads.add({"app.jar": b"x"}, days=5)
    make_properties(lab, tenant, "map", live)
    make_driver(lab, tenant, "driver", mounts="map")
    asked = ("--kubeconfig", lab.kube.kubeconfig, "--namespace", tenant.namespace, "--older-than", "7d")

    command = report(uploads.root, *asked)["delete"]

    assert "\x1b" not in command
    assert {path.name for path in uploads.root.rglob("spark-upload-*")} == {live, old, young, middle}
    done = _bash(command, tmp_path / "bin")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in uploads.root.rglob("spark-upload-*")} == {live, young, middle}
    assert report(uploads.root, *asked)["delete"] is None


def _bash(command: str, programs: Path) -> "subprocess.CompletedProcess[str]":
    programs.mkdir()
    program = programs / "spark-staging-server"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m staging_server.cli "$@"\n')
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(_ROOT)}  # noqa: TID251 - for a child
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("path", ["/mnt/a b", "/mnt/$(x)'`\"\\", "/mnt/\x1b[2J\n'\\\u202e", "/mnt/\udcff é", "/mnt/é"])
def test_bash_reads_the_path_that_was_meant(path: str, tmp_path: Path) -> None:
    command = delete_command(["--report", path], deletes="xargs -0 rm").partition("|")[0]

    assert command.replace("\n", "").isprintable()
    done = subprocess.run(
        ["bash", "-c", f"spark-staging-server() {{ printf '%s\\0' \"$@\"; }}; {command}"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.split(b"\0")[:3] == [b"import", b"--report", os.fsencode(path)]


def test_names_that_others_chose_are_harmless_on_a_terminal(uploads: Uploads) -> None:
    uploads.add({"a\nb\x1b[2J.jar": b"x"}, at="month\r\x9b")
    bad = os.fsencode(uploads.root) + b"/\xff/" + os.fsencode(uploads.add({"x": b"y"}))
    Path(os.fsdecode(bad)).mkdir(parents=True)

    for form in ("text", "json"):
        done = run(uploads.root, "-o", form)
        assert done.exit_code == 0
        assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "a\\nb\\x1b[2J.jar" in run(uploads.root).stdout


def test_the_text_fits_into_eighty_columns(uploads: Uploads) -> None:
    uploads.add({"app-1.0.jar": b"x" * 10_000}, at="2026-10")
    uploads.add({"app-1.0.jar": b"x" * 10_000})
    made = msgspec.convert(report(uploads.root, "--price", "0.023"), Report)
    busy = msgspec.structs.replace(
        made.total, folders=999_999, files=9_999_999, bytes=10**15, per_month=99_999.99, until_now=10.0**9
    )
    largest = [msgspec.structs.replace(one, path=one.path.replace(made.path, "/mnt")) for one in made.largest]
    made = msgspec.structs.replace(
        made, path="/mnt", total=busy, states=dict.fromkeys(made.states, busy), largest=tuple(largest)
    )

    lines = list(shown(made))

    assert max(map(len, lines)) <= 80 + len("\x1b[1m\x1b[0m")
    assert any("999,999" in line for line in lines)


def test_paths_are_not_printed_unless_jobs_were_asked(uploads: Uploads) -> None:
    done = run(uploads.root, "-o", "paths")

    assert done.exit_code == 2
    assert "give --context or --kubeconfig" in done.stderr


def test_an_empty_folder_is_no_failure(uploads: Uploads) -> None:
    done = run(uploads.root)

    assert done.exit_code == 0
    assert done.stdout.startswith("0 leftovers below ")
