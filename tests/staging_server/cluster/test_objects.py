"""The objects that are kept, and their indexes, against plain dictionaries."""

from hypothesis import given
from hypothesis import strategies as st

from staging_server.cluster.objects import End, Kept, Objects, differences

_NAMESPACES = st.sampled_from(["a", "b"])
_NAMES = st.sampled_from(["x", "y", "z"])
_KEPT = st.builds(
    Kept, uid=st.sampled_from(["1", "2"]), bundle=st.sampled_from([None, "p", "q"]), end=st.sampled_from([None, End()])
)
_STEPS = st.lists(st.tuples(_NAMESPACES, _NAMES, st.none() | _KEPT), max_size=30)
_Model = dict[tuple[str, str], Kept]


def _after(steps: list[tuple[str, str, Kept | None]]) -> tuple[Objects, _Model]:
    objects, model = Objects(), _Model()
    for namespace, name, kept in steps:
        if kept is None:
            assert objects.remove(namespace, name) == model.pop((namespace, name), None)
        else:
            assert objects.put(namespace, name, kept) == model.get((namespace, name))
            model[namespace, name] = kept
    return objects, model


@given(_STEPS)
def test_what_is_kept_is_found_by_name_and_by_label(steps: list[tuple[str, str, Kept | None]]) -> None:
    objects, model = _after(steps)
    assert {(namespace, name): kept for namespace, name, kept in objects} == model
    assert len(objects) == len(model)
    for namespace in ("a", "b"):
        for bundle in ("p", "q"):
            labelled = {
                name: kept for (where, name), kept in model.items() if (where, kept.bundle) == (namespace, bundle)
            }
            assert dict(objects.labelled(namespace, bundle)) == labelled


@given(_STEPS, _STEPS)
def test_the_differences_of_two_lists_lead_from_one_to_the_other(
    first: list[tuple[str, str, Kept | None]], second: list[tuple[str, str, Kept | None]]
) -> None:
    (before, model), (after, wanted) = _after(first), _after(second)
    for namespace, name, old, new in differences(before, after):
        assert model.get((namespace, name)) == old != new
        if new is None:
            del model[namespace, name]
        else:
            model[namespace, name] = new
    assert model == wanted
