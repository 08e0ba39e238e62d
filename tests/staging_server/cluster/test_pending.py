"""Changes that wait to be taken."""

import pytest

from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.cluster import pending
from staging_server.cluster.kinds import PODS
from staging_server.cluster.objects import Kept
from staging_server.cluster.pending import Pending
from staging_server.retention.sights import Changes


def test_a_pod_that_changes_its_label_concerns_both_bundles_and_those_whom_it_owns() -> None:
    one, other = BundleId.generate(), BundleId.generate()
    noted = Pending()
    noted.add(PODS, "team", "driver", (Kept(uid="1", bundle=one), Kept(uid="1", bundle=other)))
    noted.add(PODS, "team", "stray", (None, Kept(uid="2", bundle="no id")))
    owners = {OwnerReference(api_version="v1", kind="Pod", name=name) for name in ("driver", "stray")}
    assert noted.take() == Changes(
        bundles=frozenset({("team", one), ("team", other)}), owners=frozenset(("team", owner) for owner in owners)
    )
    assert noted.take() == Changes()


def test_changes_that_nobody_takes_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_MOST", 10)
    noted = Pending()
    for number in range(20):
        noted.add(PODS, "team", f"pod-{number}", (None, Kept(uid="1")))
    assert noted.take() == Changes(all=True)
    noted.add(PODS, "team", "pod", (None, Kept(uid="1")))
    assert not noted.take().all


def test_what_a_list_shows_for_the_first_time_is_named_although_all_may_have_changed() -> None:
    bundle = BundleId.generate()
    noted = Pending()
    noted.add_all()
    noted.add(PODS, "team", "driver", (None, Kept(uid="1", bundle=bundle)))
    noted.add_all()
    owner = OwnerReference(api_version="v1", kind="Pod", name="driver")
    assert noted.take() == Changes(bundles=frozenset({("team", bundle)}), owners=frozenset({("team", owner)}), all=True)
