"""Schemathesis on every route of a running server, as each who could ask: the server does what its OpenAPI says.

`HOSTILE_EXAMPLES` and `HOSTILE_SEED` make a longer or another run (`make fuzz`); the seed is in the output.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from staging_protocol.digests import Digest
from tests.staging_server.live import Live, access_token, live_server, new_file

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HERE: Final = Path(__file__).parent
_EXAMPLES: Final = os.environ.get("HOSTILE_EXAMPLES", "4")  # noqa: TID251 - the suite has no settings module
_SEED: Final = os.environ.get("HOSTILE_SEED", "20261122")  # noqa: TID251 - as above
_KNOWN: Final = """
[[operations]]
include-path-regex = "/bundles/.bundle."
parameters = {{ namespace = "team-a", bundle = "{bundle}", kind = "jar", name = "a.jar" }}

[[operations]]
include-path-regex = "/uploads/.upload."
parameters = {{ namespace = "team-a", upload = "{upload}" }}
"""
"""What cannot be guessed: ids of things that are there."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running server, the secrets of all who may ask, and a folder for files of the run."""

    live: Live
    tokens: dict[str, str]
    known: str
    folder: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    folder = tmp_path_factory.mktemp("conformance")
    file = folder / "tokens.json"
    operator = access_token(file, verbs=("create", "get", "list", "delete", "pin", "operate"))
    submitter = access_token(file, verbs=("create", "get", "list"), namespaces=("team-a",))
    auth = {"mode": "tokens", "tokens_file": file}
    async with live_server(folder, token=submitter.text, auth=auth) as live:
        made = await live.staged()
        upload = await _begun(live)
        tokens = {"operator": operator.text, "submitter": submitter.text, "bundle": made["token"], "nobody": ""}
        known = _KNOWN.format(bundle=made["id"], upload=upload)
        yield Target(live=live, tokens=tokens, known=known, folder=folder)


async def _begun(live: Live) -> str:
    """Begin an upload and return its id."""
    await live.create(new_file(b"wanted", name="w.jar"))
    fields = {
        "Content-Type": "application/partial-upload", "Upload-Length": "6", "Upload-Complete": "?0",
        "Repr-Digest": Digest.of(b"wanted").repr_digest,
    }  # fmt: skip
    answer = await live.call("POST", "/v1/namespaces/team-a/uploads", data=b"", headers=fields)
    assert answer.status == 201, answer.body
    return answer.headers["Location"].rpartition("/")[2]


@pytest.mark.parametrize(
    ("identity", "known", "phases"),
    [
        ("operator", False, "coverage,fuzzing,stateful"),
        ("submitter", True, "fuzzing"),
        ("bundle", True, "fuzzing"),
        ("nobody", False, "fuzzing"),
    ],
)
async def test_every_route_does_what_openapi_says(target: Target, identity: str, known: bool, phases: str) -> None:  # noqa: FBT001 - a table
    done = await asyncio.to_thread(_run, target, identity, known=known, phases=phases)
    print(done.stdout)  # noqa: T201 - with the seed; shown when it fails
    assert done.returncode == 0
    assert f"Seed: {_SEED}" in done.stdout
    assert "internal-error" not in target.live.logs()


def _run(target: Target, identity: str, *, known: bool, phases: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis as a program: its plugin for pytest knows neither stateful testing nor our event loop."""
    settings, secrets = target.folder / f"{identity}.toml", target.folder / "secrets"
    settings.write_text((_HERE / "schemathesis.toml").read_text() + (target.known if known else ""))
    secrets.write_text(" ".join(target.tokens.values()))
    token = target.tokens[identity]
    return subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings),
            "run", f"{target.live.server.url}/openapi.json", "--checks", "all", "--phases", phases,
            "--max-examples", _EXAMPLES, "--seed", _SEED, "--continue-on-failure", "--no-color",
            "--generation-database", "none", *(["-H", f"Authorization: Bearer {token}"] if token else []),
        ],
        check=False, capture_output=True, text=True, cwd=target.folder,
        env={**os.environ, "SECRETS": str(secrets), "PYTHONPATH": str(_HERE.parents[1]),  # noqa: TID251 - for a child
             "SCHEMATHESIS_HOOKS": "tests.hostile.schemathesis_checks"},
    )  # fmt: skip
