"""One nursery for the tests of a worker."""

from collections.abc import Iterator

import pytest

from tests.crash.lives import Nursery, nursery


@pytest.fixture(scope="session")
def forks() -> Iterator[Nursery]:
    with nursery() as made:
        yield made
