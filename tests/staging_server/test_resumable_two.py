"""Uploads in parts through two servers on one folder and one SQLite file: what a mistake of an operator may make."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.upload_take_over import TakeOverContract, Two
from tests.staging_server.domain import open_domain


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with open_domain(tmp_path) as one, open_domain(tmp_path) as other:
        yield one, other


class TestTwoOnSqlite(TakeOverContract):
    pass
