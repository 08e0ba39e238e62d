"""`bundles prune`: which Secrets have outlived their bundles.

    Secrets with our label and a name of ours, made for this server
    without the bundles that the server lists, page by page  → those that may be over
    each of them asked about                                 → over, if the server itself says 404 or 410

A Secret has no time to live: where no driver pod came to own it, nobody else deletes it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from submission.labelled_secrets import LabelledSecret


class Fate(StrEnum):
    """What is to be done with a Secret."""

    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A Secret, what becomes of it, and why."""

    secret: LabelledSecret
    fate: Fate
    why: str


def verdicts(
    secrets: Iterable[LabelledSecret],
    *,
    server: str,
    live: Callable[[], Collection[tuple[str, str]]],
    has_ended: Callable[[LabelledSecret], bool],
) -> Iterator[Verdict]:
    """Yield what is to be done with each Secret.

    Args:
        secrets: all that there are; they are listed before `live` is asked, so that each bundle was there before.
        server: URL for pods that the server states.
        live: returns namespace and id of every bundle that the server lists.
        has_ended: asks the server about one; it raises when the answer is not clear.
    """
    found = list(secrets)
    ours = [secret for secret in found if secret.server in {None, server}]
    listed = live() if ours else frozenset[tuple[str, str]]()
    for secret in found:
        if secret.server not in {None, server}:
            yield Verdict(secret=secret, fate=Fate.KEEP, why=f"its bundle is on another server, {secret.server}")
        elif (secret.namespace, secret.bundle) in listed or not has_ended(secret):
            yield Verdict(secret=secret, fate=Fate.KEEP, why="its bundle is there")
        else:
            yield Verdict(secret=secret, fate=Fate.DELETE, why="its bundle is gone")
