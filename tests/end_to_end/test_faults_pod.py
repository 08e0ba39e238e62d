"""The init container's own process behind the fault proxy: its exit codes, and what a pod finds afterwards."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from staging_protocol import pod_contract
from staging_protocol.digests import Digest
from staging_protocol.errors import ExitCode
from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import FilesIn
from tests.end_to_end.faulted import NAMESPACE, Faulted, faulted, make_job
from tests.end_to_end.programs import run
from tests.services.fault_plans import passing, rules
from tests.services.faults import Corrupt, LoseAnswer, Place, Reset, Rule, Stall, Truncate

EXAMPLES = settings.default.max_examples if settings.default is not None else 100
LARGE = 20 * 1024 * 1024
"""Bytes: three parts, with the settings that pods have."""


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulted]:
    with faulted(tmp_path_factory.mktemp("server"), make_job([1, 5000, LARGE])) as running:
        yield running


def init_container(down: Faulted, root: Path, *, deadline: int = 60) -> tuple[int, str]:
    """Run it over empty volumes below `root`; return its exit code and its log."""
    secrets = root / pod_contract.SECRET_FOLDER.lstrip("/")
    secrets.mkdir(parents=True)
    (secrets / pod_contract.TOKEN_KEY).write_text(down.token.text)
    environment = {
        pod_contract.ENV_URL: down.proxy.url, pod_contract.ENV_NAMESPACE: NAMESPACE,
        pod_contract.ENV_BUNDLE: down.bundle, "SPARK_STAGING_ROOT": str(root), "SPARK_STAGING_DEADLINE": str(deadline),
    }  # fmt: skip
    done = run("spark-staging-init", environment=environment)
    return done.returncode, done.stderr


def wrong(down: Faulted, root: Path) -> set[str]:
    """Return what is visible below the volumes and not as staged, or half done."""
    expected = {
        f"{pod_contract.folder_of(kind, files_in=FilesIn.WORK)}/{name}": Digest.of(content)
        for (kind, name), content in down.job.files.items()
        if kind is not Kind.ARCHIVE
    }
    files = [path for path in (root / "var").rglob("*") if path.is_file() and "run" not in path.relative_to(root).parts]
    return {
        str(path)
        for path in files
        if expected.get(f"/{path.relative_to(root)}") != Digest.of(path.read_bytes())
        and "/env/" not in str(path)
        and path.suffix != ".jsonl"
    }


def whole(down: Faulted, root: Path) -> set[str]:
    """Return the names of the staged files that are in their places."""
    return {
        name
        for kind, name in down.job.files
        if (root / pod_contract.folder_of(kind, files_in=FilesIn.WORK).lstrip("/") / name).exists()
    }


@given(rule=rules(passing(size=LARGE), paths=["", "/manifest", "/files/", "2.jar", "env"]))
@settings(max_examples=max(EXAMPLES // 20, 1))
def test_a_pod_survives_passing_faults(down: Faulted, rule: Rule) -> None:
    with tempfile.TemporaryDirectory() as name:
        down.proxy.plan(rule)
        code, log = init_container(down, Path(name))
        assert code == ExitCode.DONE, log
        assert wrong(down, Path(name)) == set()
        assert whole(down, Path(name)) == {name for _, name in down.job.files}


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Rule(fault=Corrupt(Place(at=9_000_000)), path="2.jar", times=1000), ExitCode.DONE),
        (Rule(fault=Corrupt(Place(at=1000)), path="2.jar", times=1000), ExitCode.DIGEST_MISMATCH),
        (Rule(fault=Corrupt(Place(at=500)), path="/manifest", times=1000), ExitCode.DEADLINE),
        (Rule(fault=Reset(Place(at=0)), path="1.jar", times=1000), ExitCode.DEADLINE),
        (Rule(fault=Truncate(Place(at=10)), path="/manifest", times=1000), ExitCode.DEADLINE),
        (Rule(fault=Stall(Place(at=1000)), path="2.jar", times=1000), ExitCode.DEADLINE),
        (Rule(fault=LoseAnswer(), path="/reports", times=1000), ExitCode.DONE),
    ],
    ids=["a place that no part reaches", "spoilt", "manifest spoilt", "reset", "manifest cut", "stalled", "reports"],
)
def test_faults_that_do_not_pass_have_their_exit_codes(
    down: Faulted, tmp_path: Path, rule: Rule, code: ExitCode
) -> None:
    down.proxy.plan(rule)
    found, log = init_container(down, tmp_path, deadline=60 if code is ExitCode.DONE else 5)
    assert found == code, log
    assert wrong(down, tmp_path) == set()
    assert code in {json.loads(line).get("exit_code") for line in log.splitlines()}
