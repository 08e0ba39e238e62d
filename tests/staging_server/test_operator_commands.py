"""`policy diff` and `sweep --dry-run`, as an operator runs them over the folder of a server: they tell, and no more."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from staging_protocol.errors import ExitCode
from staging_protocol.tokens import BundleId
from staging_server.cli import main
from staging_server.times import utc_now
from tests.staging_server.domain import ALICE, RED, MovableClock, open_domain

_STRICTER = '[[rules]]\nnamespaces = ["red"]\ntime_to_live = 3600\nblob_keep = 60\nquota = 3\n'
_POLICIES_FILE = "SPARK_STAGING_SERVER_RETENTION__POLICIES_FILE"


@dataclass(frozen=True)
class Staged:
    """A folder with a bundle that is over, one that is two hours old, and a blob that nothing has used for so long."""

    folder: Path
    over: BundleId
    fresh: BundleId
    blob: str

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Result:
        """Run a command, which must change nothing in the folder."""
        before = self._content()
        command = [*map(str, arguments), "--folder", str(self.folder)]
        done = CliRunner().invoke(main, command, env=dict(environment or {}))
        assert self._content() == before
        return done

    def _content(self) -> Mapping[Path, bytes]:
        """Return every file, the database among them; its index of the log is memory that readers share."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
        # An empty log says no more than none.
        return {path: content for path in files if (content := path.read_bytes()) or not path.name.endswith("-wal")}


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    return asyncio.run(_stage(tmp_path / "data"))


async def _stage(folder: Path) -> Staged:
    clock = MovableClock(utc_now() - timedelta(days=8))
    async with open_domain(folder, clock=clock) as domain:
        over = await domain.stage(b"12345")
        clock.move(days=7, hours=22)
        fresh = await domain.stage(b"1234")
        unused = await domain.stage(b"unused")
        await domain.parts.bundles.delete(RED, unused.id, caller=ALICE)
    return Staged(folder=folder, over=over.id, fresh=fresh.id, blob=f"{len(b'unused')} B")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    path = tmp_path / "policies.toml"
    path.write_text(_STRICTER)
    return path


def test_a_diff_says_in_words_what_would_end_and_why_and_changes_nothing(staged: Staged, policies: Path) -> None:
    done = staged.run("policy", "diff", policies)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    by = "(by rule 1 of the policies file, for red)"
    assert lines[0] == "red"
    assert f"    time_to_live: 1 hour {by} instead of 7 days" in lines
    assert f"    gives up 1 blob, {staged.blob}" in lines
    (ends,) = [line for line in lines if line.startswith(f"{staged.fresh} red/app ends with the next sweep")]
    assert "time to live of 1 hour" in ends
    # What is over anyway is no change.
    assert str(staged.over) not in done.stdout
    assert lines[-1].startswith("1 bundle of 4 B would end, 0 sooner, 0 later; 1 blob of 6 B")


def test_a_diff_is_json_for_programs(staged: Staged, policies: Path) -> None:
    done = staged.run("policy", "diff", policies, "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    (namespace,) = found["namespaces"]
    assert {key: namespace[key] for key in ("namespace", "blobs", "blob_size", "over_quota")} == {
        "namespace": "red", "blobs": 1, "blob_size": 6, "over_quota": 6,
    }  # fmt: skip
    (bundle,) = found["bundles"]
    assert (bundle["id"], bundle["effect"], bundle["size"]) == (staged.fresh, "ends", 4)


def test_a_diff_with_the_present_policies_is_empty(staged: Staged, policies: Path) -> None:
    done = staged.run("policy", "diff", policies, environment={_POLICIES_FILE: str(policies)})
    assert done.exit_code == 0
    assert done.stdout == "0 bundles of 0 B would end, 0 sooner, 0 later; 0 blobs of 0 B would be given up\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [("[defaults", "is not TOML"), ("[defaults]\ngarce = 1", "garce"), (None, "No such file")],
)
def test_a_policies_file_that_cannot_be_is_a_plain_error(
    staged: Staged, policies: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    broken = tmp_path / "broken.toml"
    if text is not None:
        broken.write_text(text)
    _refused(staged.run("policy", "diff", broken), "broken.toml", said)
    done = staged.run("policy", "diff", policies, environment={_POLICIES_FILE: str(broken)})
    _refused(done, "broken.toml", said)


def test_without_a_database_there_is_nothing_to_compare_and_none_is_made(tmp_path: Path, policies: Path) -> None:
    for command in (["policy", "diff", str(policies)], ["sweep", "--dry-run"]):
        done = CliRunner().invoke(main, [*command, "--folder", str(tmp_path / "none")])
        _refused(done, "there is no database")
    assert not (tmp_path / "none").exists()


def test_a_dry_run_names_what_would_end_with_its_reason_and_changes_nothing(staged: Staged) -> None:
    done = staged.run("sweep", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    (ended, total) = done.stdout.splitlines()
    assert ended.startswith(f"would end {staged.over} red/app: ")
    assert "time to live of 7 days" in ended
    assert total == "would end 1 bundle, would remove 0 blobs, 0 B"


def test_a_dry_run_is_json_for_programs(staged: Staged) -> None:
    done = staged.run("sweep", "--dry-run", "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["dry_run"], found["blobs"], found["freed"]) == (True, [], 0)
    (bundle,) = found["bundles"]
    assert (bundle["id"], bundle["namespace"], bundle["size"]) == (staged.over, "red", 5)
    assert "time to live of 7 days" in bundle["reason"]


def test_a_sweep_says_as_json_what_it_has_done(staged: Staged) -> None:
    sweep = ["sweep", "-o", "json", "--folder", str(staged.folder)]
    done = CliRunner().invoke(main, sweep)
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["dry_run"], found["blobs"], found["freed"]) == (False, [], 0)
    (bundle,) = found["bundles"]
    assert (bundle["id"], bundle["namespace"], bundle["size"]) == (staged.over, "red", 5)
    assert "time to live of 7 days" in bundle["reason"]
    assert json.loads(CliRunner().invoke(main, sweep).stdout)["bundles"] == []


def test_a_dry_run_names_what_new_policies_end_before_a_sweep_has_followed_them(staged: Staged, policies: Path) -> None:
    done = staged.run("sweep", "--dry-run", "-o", "json", environment={_POLICIES_FILE: str(policies)})
    assert {bundle["id"] for bundle in json.loads(done.stdout)["bundles"]} == {staged.over, staged.fresh}


def test_a_dry_run_with_a_broken_policies_file_is_a_plain_error(staged: Staged, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[defaults]\ntime_to_live = -1\n")
    _refused(staged.run("sweep", "--dry-run", environment={_POLICIES_FILE: str(broken)}), "broken.toml", "time_to_live")


def _refused(done: Result, *words: str) -> None:
    assert done.exit_code == ExitCode.USAGE
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("spark-staging-server: ")
    assert all(word in line for word in words), line
