"""Web servers for all tests here, and the command as it reaches them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.nginx import Nginx
from tests.submission.conftest import Command
from tests.submission.remote.places import Web, reaches_loopback, running_web, web_of


@pytest.fixture(scope="session")
def webs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, Nginx, Path]]:
    with running_web(tmp_path_factory.mktemp("webs")) as running:
        yield running


@pytest.fixture
def web(webs: tuple[Nginx, Nginx, Path]) -> Web:
    return web_of(webs)


@pytest.fixture
def remote(command: Command) -> Command:
    """The command, reaching loopback."""
    reaches_loopback(command)
    return command
