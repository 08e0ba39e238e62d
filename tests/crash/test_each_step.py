"""kill -9 before every step of every operation, one after another, over one folder that lives through all of it."""

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from staging_protocol.errors import Unavailable
from tests.crash.ledger import CutOff, Ledger
from tests.crash.lives import KILLED, Nursery, Server
from tests.crash.remains import Remains
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.staging_server.served import wait_until

_MOST = 400
"""Steps of one operation; more means that the process never reaches the end of it."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_kill_at_any_step_loses_nothing_and_leaves_nothing(
    scenario: Scenario, forks: Nursery, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    server = Server(nursery=forks, folder=tmp_path)
    remains = Remains(server.data)
    kills = 0
    with closing(Ledger(server.url, namespace=scenario.name)) as ledger:
        for step in range(1, _MOST, scenario.every):
            if not _dies_at(step, scenario, server=server, ledger=ledger):
                break
            kills += 1
            look_after_crash(server, ledger, remains)
        else:
            pytest.fail("it never came to its end")
        server.end()
    record_property("kills", kills)
    assert kills >= scenario.least


def test_a_new_token_whose_answer_is_lost_again_and_again_locks_nobody_out(forks: Nursery, tmp_path: Path) -> None:
    server = Server(nursery=forks, folder=tmp_path)
    server.start()
    with closing(Ledger(server.url, namespace="team")) as ledger:
        job = ledger.draft()
        ledger.stage(job)
        for _ in range(3):
            assert server.life is not None
            server.life.arm(at=1, only=("send",))
            with pytest.raises(CutOff):
                ledger.renew(job)
            assert server.life.wait() == KILLED, server.said()
            look_after_crash(server, ledger, Remains(server.data))
        server.end()


def test_a_bundle_that_ended_after_its_token_was_replaced_unheard_has_ended(forks: Nursery, tmp_path: Path) -> None:
    server = Server(nursery=forks, folder=tmp_path)
    life = server.start()
    with closing(Ledger(server.url, namespace="team")) as ledger:
        job = ledger.draft(fleeting=True)
        ledger.stage(job)
        life.arm(at=1, only=("send",))
        with pytest.raises(CutOff):
            ledger.create(job)
        assert life.wait() == KILLED, server.said()
        Remains(server.data).age()
        server.start()
        wait_until(lambda: _is_swept(ledger))
        ledger.settle()
        assert job.gone
        server.end()


def _is_swept(ledger: Ledger) -> bool:
    with suppress(Unavailable):  # while the life's first sweep is under way
        ledger.sweep()
    return not ledger.client.bundles(ledger.namespace).bundles


def _dies_at(step: int, scenario: Scenario, *, server: Server, ledger: Ledger) -> bool:
    """Run the operation in a life that ends before the given step; False when it has fewer steps."""
    life = server.life if server.life is not None and server.life.code is None else server.start()
    job = scenario.prepare(ledger)
    try:
        life.arm(at=step)  # a sweep of its own may take that step before it answers
        scenario.act(ledger, job)
        life.disarm()
    except (CutOff, ConnectionError):
        assert life.wait() == KILLED, server.said()
        return True
    return False


def look_after_crash(server: Server, ledger: Ledger, remains: Remains) -> None:
    """Start again on what is left: everything acknowledged holds, and one sweep leaves only what is named."""
    resuming = ledger.uploads
    remains.age(but=resuming)
    server.start()
    ledger.settle()
    ledger.prune(keep=4)
    ledger.sweep()
    remains.check(resuming=resuming)
