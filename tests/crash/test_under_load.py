"""kill -9 under load, at steps and at moments: nothing acknowledged is lost, nothing corrupt seen, nothing left."""

from pathlib import Path

from tests.crash.lives import Nursery
from tests.crash.loop import looping


def test_a_server_that_dies_under_load_keeps_its_word(forks: Nursery, tmp_path: Path) -> None:
    loop = looping(forks, tmp_path, kills=24, seed=3)
    assert loop.kills.total() == 24
    assert len(loop.kills) > 5, "it died in too few ways"
    assert loop.acknowledged > 250
