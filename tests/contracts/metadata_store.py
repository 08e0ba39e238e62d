"""What every database promises.  A test module inherits `MetadataContract` and brings a fixture `metadata`, empty."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, insert, select

from staging_protocol.errors import Unavailable
from staging_server.metadata.base import Metadata
from staging_server.metadata.tables import tenants


def add(connection: Connection, names: Sequence[str]) -> list[int]:
    """Add tenants, and tell how many came together; refuses the name `bad`."""
    for name in names:
        connection.execute(insert(tenants), {"cluster": "local", "namespace": name, "uid": ""})
        if name == "bad":
            raise ValueError(name)
    return [len(names)] * len(names)


def namespaces(connection: Connection, prefix: str) -> list[str]:
    """Return the names of tenants: a query."""
    found = select(tenants.c.namespace).where(tenants.c.namespace.startswith(prefix)).order_by(tenants.c.namespace)
    return list(connection.execute(found).scalars())


class MetadataContract:
    async def test_what_was_written_can_be_read(self, metadata: Metadata) -> None:
        assert await metadata.write(add, "one") == 1
        assert await metadata.read(namespaces, "") == ["one"]

    async def test_requests_that_come_together_share_a_transaction(self, metadata: Metadata) -> None:
        together = await asyncio.gather(*(metadata.write(add, f"n{number:02}") for number in range(40)))
        assert max(together) > 1
        assert len(await metadata.read(namespaces, "n")) == 40

    async def test_a_failing_request_does_not_fail_its_neighbours(self, metadata: Metadata) -> None:
        names = ["a", "b", "bad", "c", "d"]
        results = await asyncio.gather(*(metadata.write(add, name) for name in names), return_exceptions=True)
        assert [type(result) for result in results] == [int, int, ValueError, int, int]
        assert await metadata.read(namespaces, "") == ["a", "b", "c", "d"]

    async def test_a_failing_request_changes_nothing(self, metadata: Metadata) -> None:
        with pytest.raises(ValueError, match="bad"):
            await metadata.write(add, "bad")
        assert await metadata.read(namespaces, "") == []

    async def test_a_conflict_that_stays_is_told_as_one_to_try_again(self, metadata: Metadata) -> None:
        await metadata.write(add, "same")
        with pytest.raises(Unavailable):
            await metadata.write(add, "same")
        assert await metadata.read(namespaces, "") == ["same"]

    async def test_the_writer_goes_on_after_a_failure(self, metadata: Metadata) -> None:
        with pytest.raises(ValueError, match="bad"):
            await metadata.write(add, "bad")
        assert await metadata.write(add, "good") == 1

    async def test_who_went_away_while_waiting_changes_nothing(self, metadata: Metadata) -> None:
        waiting = [asyncio.create_task(metadata.write(add, f"t{number:03}")) for number in range(200)]
        await asyncio.sleep(0)
        waiting[-1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        found = await metadata.read(namespaces, "t")
        assert "t199" not in found
        assert len(found) == 199

    async def test_what_was_accepted_is_finished_before_it_closes(self, metadata: Metadata) -> None:
        waiting = [asyncio.create_task(metadata.write(add, f"c{number:03}")) for number in range(100)]
        await asyncio.sleep(0)
        await metadata.close()
        assert not [result for result in await asyncio.gather(*waiting) if result < 1]

    async def test_a_closed_database_says_so(self, metadata: Metadata) -> None:
        await metadata.close()
        with pytest.raises(Unavailable):
            await metadata.write(add, "late")
        with pytest.raises(Unavailable):
            await metadata.read(namespaces, "")
