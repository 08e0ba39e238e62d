"""Settings of the whole suite: how hard hypothesis tries, and which tests need which program."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.services.fault_proxy import FaultProxy
from tests.services.fault_proxy import fault_proxy as running_fault_proxy

# A shell's background jobs ignore Ctrl-C, and so would all programs that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}  # noqa: TID251 - the suite has no settings module

settings.register_profile(
    "quick",
    max_examples=100,
    deadline=None,  # no timed assertion
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", parent=settings.get_profile("quick"), max_examples=1000)
"""For `pytest --hypothesis-profile=long`: minutes for each property."""
settings.load_profile("quick")


def missing(reason: str) -> NoReturn:
    """Skip the test on a developer's machine, with the reason; fail it in CI, where nothing may be missing."""
    if IN_CI:
        pytest.fail(f"{reason} (in CI nothing may be missing)")
    pytest.skip(reason)


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[str], FaultProxy]]:
    """Return what puts a fault proxy before the server at a URL, until the test ends."""
    with ExitStack() as stack:
        yield lambda target: stack.enter_context(running_fault_proxy(target))
