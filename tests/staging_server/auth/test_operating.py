"""The commands of `docs/operating.md` about the identity of the cluster do what it says, one after another."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.staging_server.auth.cluster import DEPLOY, Cluster, kubectl_program
from tests.staging_server.served import served

pytestmark = pytest.mark.services

_SECTION: Final = "## Identity by the cluster\n"


def _commands() -> str:
    text = (DEPLOY.parent / "docs" / "operating.md").read_text()
    section = text.partition(_SECTION)[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    return "".join(blocks)


def test_the_commands_of_the_manual(cluster: Cluster, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl_program())
    assert shutil.which("curl"), "the manual uses curl"
    with cluster.kube.namespace() as namespace, served(tmp_path, variables=cluster.server_variables()) as server:
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", _commands().replace("team-a", namespace)],
            env={
                **os.environ,  # noqa: TID251 - for a child
                "PATH": f"{programs}:{os.environ['PATH']}",  # noqa: TID251 - as above
                "KUBECONFIG": str(cluster.kube.kubeconfig),
                "SPARK_STAGING_URL": f"http://127.0.0.1:{server.port}",
            },
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('true{"bundles":[]}'), done.stdout
