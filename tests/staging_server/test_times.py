"""Times as people read them."""

from datetime import timedelta

import pytest

from staging_server.times import duration_text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (61, "61 seconds"),
        (120, "2 minutes"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (86400, "1 day"),
        (7 * 86400, "7 days"),
    ],
)
def test_a_duration_is_said_in_the_largest_unit_that_divides_it(seconds: int, said: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == said
