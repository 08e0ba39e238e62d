"""kill -9 at every step of the resolver: what is visible is whole, and the next run finishes it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.crash.ledger import Ledger
from tests.crash.lives import KILLED, Nursery, Server
from tests.crash.resolving import ByHand, Pod, Staged, check_visible, leftovers, run, stage

_MOST: Final = 300


@pytest.fixture(scope="module")
def staged(forks: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    server = Server(nursery=forks, folder=tmp_path_factory.mktemp("staged"))
    server.start()
    with closing(Ledger(server.url, namespace="team")) as ledger:
        yield stage(ledger)
    server.end()


@pytest.mark.parametrize(("kind", "every"), [(Pod, 1), (ByHand, 2)])
def test_a_resolver_that_is_killed_at_any_step_shows_nothing_half_done(
    kind: type[Pod | ByHand], every: int, staged: Staged, forks: Nursery, tmp_path: Path
) -> None:
    kills = 0
    for step in range(1, _MOST, every):
        (tmp_path / str(step)).mkdir()
        place = kind(staged=staged, root=tmp_path / str(step), log=tmp_path / str(step) / "log")
        ended = run(place, forks, step=step)
        assert ended in {KILLED, 0}, place.log.read_text()
        check_visible(place, whole=ended == 0)
        if ended == 0:
            break
        kills += 1
        assert run(place, forks) == 0, place.log.read_text()
        check_visible(place, whole=True)
        assert not leftovers(place)
    assert kills > 20


def test_a_resolver_that_dies_again_and_again_in_one_folder_gets_there(
    staged: Staged, forks: Nursery, tmp_path: Path
) -> None:
    place = ByHand(staged=staged, root=tmp_path, log=tmp_path / "log")
    for step in (*range(1, 60), None):
        ended = run(place, forks, step=step)
        assert ended in {KILLED, 0}, place.log.read_text()
        check_visible(place, whole=ended == 0)
    assert ended == 0
    assert not leftovers(place)
