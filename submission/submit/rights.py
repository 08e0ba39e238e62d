"""The rights that a submitter needs in the namespace, as Kubernetes names them.  Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from submission.kube.resources import PODS, Resource, resource_of
from submission.submit.planned import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One of them."""

    verb: str
    resource: Resource
    subresource: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether nothing works without; the others are for when something fails, and stock Spark does without them."""
        return self.verb not in {"get", "delete"} or self.resource is PODS

    def __str__(self) -> str:
        """Return it as `kubectl auth can-i` takes it."""
        return f"{self.verb} {self.resource.plural}{f'/{self.subresource}' if self.subresource else ''}"


def rights_for(planned: Planned, *, also: Iterable[Resource] = (), waits: bool) -> tuple[Right, ...]:
    """Return what is needed to create the objects, to delete them again, and to wait for the driver.

    `also` are kinds of which an object comes before the pod besides, as the Secret of a bundle.
    """
    early = [*also, *map(resource_of, planned.early)]
    return tuple(dict.fromkeys(_rights(early, later=map(resource_of, planned.late), waits=waits)))


def _rights(early: Sequence[Resource], *, later: Iterable[Resource], waits: bool) -> Iterator[Right]:
    kinds = [*early, PODS, *later]
    yield from (Right(verb="create", resource=kind) for kind in kinds)
    yield from (Right(verb="patch", resource=kind) for kind in early)
    yield from (Right(verb="get", resource=kind) for kind in kinds if kind is not PODS)  # is it there, and ours?
    yield from (Right(verb="delete", resource=kind) for kind in kinds)
    if waits:
        yield from (Right(verb=verb, resource=PODS) for verb in ("get", "list", "watch"))


def missing_in_words(missing: Sequence[Right], *, user: str, namespace: str) -> str:
    """Return what to tell about rights that are missing."""
    listed = ", ".join(map(str, missing))
    return (
        f"{user} may not {listed} in namespace {namespace}; "
        f"check with: kubectl -n {namespace} auth can-i {missing[0].verb} {missing[0].resource.plural}"
    )
