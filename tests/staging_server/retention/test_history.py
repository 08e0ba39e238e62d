"""What is learned of an owner or of pods: absence in two steps, ends, returns, and uids."""

from datetime import UTC, datetime, timedelta

import pytest

from staging_server.retention.history import NOTHING, History, learn
from staging_server.retention.sights import Seen, Sight

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ALIVE = Sight(seen=Seen.ALIVE, uid="u1")
SEEN = History(uid="u1", first_seen=NOW - HOUR, last_seen=NOW - MINUTE)
MISSING = History(uid="u1", first_seen=NOW - HOUR, last_seen=NOW - MINUTE, absent_since=NOW)


def absent(listed_at: datetime) -> Sight:
    return Sight(seen=Seen.ABSENT, listed_at=listed_at)


@pytest.mark.parametrize("history", [NOTHING, SEEN, MISSING])
@pytest.mark.parametrize("seen", [Seen.UNKNOWN, Seen.UNOBSERVED])
def test_what_was_not_clearly_answered_teaches_nothing(history: History, seen: Seen) -> None:
    assert learn(history, Sight(seen=seen), NOW + HOUR) is history


def test_the_uid_is_learned_at_first_sight_and_stays() -> None:
    first = learn(NOTHING, ALIVE, NOW)
    assert (first.uid, first.first_seen, first.claims) == ("u1", NOW, True)
    assert learn(first, Sight(seen=Seen.ALIVE, uid="u2"), NOW + 2 * HOUR).uid == "u1"


def test_seeing_it_again_is_written_once_an_hour() -> None:
    assert learn(SEEN, ALIVE, NOW) is SEEN
    assert learn(SEEN, ALIVE, NOW + HOUR).last_seen == NOW + HOUR


def test_what_was_never_seen_cannot_be_missed() -> None:
    assert learn(NOTHING, absent(NOW), NOW) is NOTHING


def test_a_first_absence_ends_nothing() -> None:
    first = learn(SEEN, absent(NOW), NOW)
    assert (first.absent_since, first.ended_at, first.claims) == (NOW, None, True)


@pytest.mark.parametrize("listed", [NOW - HOUR, NOW, NOW + MINUTE - SECOND])
def test_an_absence_is_not_confirmed_by_a_list_that_was_begun_too_early(listed: datetime) -> None:
    assert learn(MISSING, absent(listed), NOW + HOUR) is MISSING


def test_an_absence_is_confirmed_by_a_list_a_minute_later_and_counts_from_its_beginning() -> None:
    gone = learn(MISSING, absent(NOW + MINUTE), NOW + 2 * MINUTE)
    assert gone.ended_at == NOW
    assert not gone.claims


@pytest.mark.parametrize("history", [MISSING, learn(MISSING, absent(NOW + MINUTE), NOW + 2 * MINUTE)])
def test_what_is_there_again_was_never_gone(history: History) -> None:
    again = learn(history, ALIVE, NOW + HOUR)
    assert (again.absent_since, again.ended_at, again.claims) == (None, None, True)


def test_the_finish_counts_from_its_own_time_and_needs_no_list() -> None:
    done = learn(SEEN, Sight(seen=Seen.FINISHED, uid="u1", since=NOW - 10 * MINUTE), NOW)
    assert done.ended_at == NOW - 10 * MINUTE
    assert learn(done, absent(NOW + HOUR), NOW + HOUR) is done


def test_a_finish_without_a_time_or_from_the_future_counts_from_when_it_was_seen() -> None:
    done = learn(SEEN, Sight(seen=Seen.FINISHED, uid="u1"), NOW)
    assert done.ended_at == NOW
    assert learn(done, Sight(seen=Seen.FINISHED, uid="u1"), NOW + HOUR) is done
    assert learn(SEEN, Sight(seen=Seen.FINISHED, uid="u1", since=NOW + HOUR), NOW).ended_at == NOW


def test_the_last_of_several_ends_counts() -> None:
    first = learn(SEEN, Sight(seen=Seen.FINISHED, since=NOW), NOW)
    assert learn(first, Sight(seen=Seen.FINISHED, since=NOW + MINUTE), NOW + HOUR).ended_at == NOW + MINUTE


def test_an_object_that_finished_before_the_bundle_was_made_is_not_its_owner() -> None:
    yesterday = Sight(seen=Seen.FINISHED, uid="old", since=NOW - SECOND)
    assert learn(NOTHING, yesterday, NOW, made_at=NOW) is NOTHING
    assert learn(NOTHING, yesterday, NOW).uid == "old"
    assert learn(NOTHING, Sight(seen=Seen.FINISHED, uid="new", since=NOW), NOW, made_at=NOW).ended_at == NOW


@pytest.mark.parametrize("end", [Sight(seen=Seen.FINISHED, uid="u1", since=NOW), absent(NOW)])
def test_an_object_that_ends_soon_after_it_was_seen_may_not_have_been_the_owner_that_was_named(end: Sight) -> None:
    made_at = NOW - 5 * MINUTE
    seen = learn(NOTHING, ALIVE, NOW - MINUTE, made_at=made_at)
    over = learn(seen, end, NOW, made_at=made_at)
    assert over.is_in_doubt
    returned = learn(over, Sight(seen=Seen.ALIVE, uid="u2"), NOW + MINUTE, made_at=made_at)
    assert (returned.uid, returned.claims, returned.is_in_doubt) == ("u2", True, False)


@pytest.mark.parametrize(("seen_for", "made_at"), [(10 * MINUTE, NOW - HOUR), (MINUTE, None)])
def test_an_object_that_was_seen_for_long_or_was_named_by_its_uid_was_the_owner(
    seen_for: timedelta, made_at: datetime | None
) -> None:
    first = learn(NOTHING, ALIVE, NOW - seen_for, made_at=made_at)
    over = learn(learn(first, ALIVE, NOW, made_at=made_at), absent(NOW), NOW + HOUR, made_at=made_at)
    assert (over.uid, over.is_in_doubt) == ("u1", False)


def test_an_absence_that_is_noticed_late_proves_nothing_of_what_was_seen_once() -> None:
    first = learn(NOTHING, ALIVE, NOW, made_at=NOW)
    assert learn(first, absent(NOW + HOUR), NOW + HOUR, made_at=NOW).is_in_doubt
