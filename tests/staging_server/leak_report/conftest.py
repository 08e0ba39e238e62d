"""One API server with the operators' kinds, and trees of uploads."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.conftest import missing
from tests.services.kube_api import KubeApiMissingError, running_kube_api
from tests.staging_server.cluster.lab import Lab

GOLDEN: Final = sorted((Path(__file__).parent / "golden").glob("*.json"))
"""What stock spark-submit uploaded to a `file:` path, and the driver pod and ConfigMap that it then made."""


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return an API server."""
    try:
        with running_kube_api() as kube:
            yield Lab(kube=kube, folder=tmp_path_factory.mktemp("lab"))
    except KubeApiMissingError as error:
        missing(str(error))


@pytest.fixture
def uploads(tmp_path: Path) -> "Uploads":
    """Return an upload path."""
    return Uploads(tmp_path / "uploads")


@dataclass
class Uploads:
    """A folder that Spark uploads to."""

    root: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.root.mkdir()

    def add(self, files: Mapping[str, bytes], *, days: float = 30, at: str = "") -> str:
        """Make an upload folder of that age; return its name."""
        name = f"spark-upload-{uuid4()}"
        folder = self.root / at / name
        folder.mkdir(parents=True)
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self.age(path, days=days)
        self.age(folder, days=days)
        return name

    def add_golden(self, golden: Mapping[str, Any], *, days: float = 30) -> set[str]:
        """Make what Spark uploaded; return the names of the folders."""
        for file in golden["tree"]:
            path = self.root / file
            path.parent.mkdir()
            path.write_bytes(b"content")
            self.age(path, days=days)
        return {str(file).partition("/")[0] for file in golden["tree"]}

    def age(self, path: Path, *, days: float) -> None:
        """Let a path have been written so long ago."""
        moment = (self.now - timedelta(days=days)).timestamp()
        os.utime(path, (moment, moment))


def read_golden(path: Path) -> dict[str, Any]:
    """Return a record."""
    return dict(json.loads(path.read_text()))
