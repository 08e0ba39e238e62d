"""Settings of the whole suite: how hard hypothesis tries, and which tests need which program."""

import os

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}  # noqa: TID251 - the suite has no settings module

settings.register_profile(
    "quick",
    max_examples=100,
    deadline=None,  # no timed assertion
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("quick")


def missing(reason: str) -> None:
    """Skip the test on a developer's machine, with the reason; fail it in CI, where nothing may be missing."""
    if IN_CI:
        pytest.fail(f"{reason} (in CI nothing may be missing)")
    pytest.skip(reason)
