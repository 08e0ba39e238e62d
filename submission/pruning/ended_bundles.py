"""Which Secrets have outlived their bundles.

    Secrets with our label and a name of ours, made for this server
    without the bundles that the server lists, page by page  → those that may be over
    each of them asked about                                 → over, if the server itself says 404 or 410

A Secret has no time to live: where no driver pod came to own it, nobody else deletes it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from staging_protocol.tokens import BundleId
from submission.pruning.labelled import Labelled
from submission.pruning.verdict import Fate, Verdict


def verdicts(
    secrets: Iterable[Labelled],
    *,
    server: str,
    live: Callable[[], Collection[tuple[str, str]]],
    has_ended: Callable[[str, BundleId], bool],
) -> Iterator[Verdict]:
    """Yield what is to be done with each Secret.

    Args:
        secrets: all that there are; they are listed before `live` is asked, so that each bundle was there before.
        server: URL for pods that the server states.
        live: returns namespace and id of every bundle that the server lists.
        has_ended: asks the server about one, by namespace and id; it raises when the answer is not clear.
    """
    found = list(secrets)
    ours = [secret for secret in found if secret.server in {None, server}]
    listed = live() if ours else frozenset[tuple[str, str]]()
    for secret in found:
        if secret.server not in {None, server}:
            yield Verdict(object=secret, fate=Fate.KEEP, why=f"its bundle is on another server, {secret.server}")
        elif _is_gone(secret, listed=listed, has_ended=has_ended):
            yield Verdict(object=secret, fate=Fate.DELETE, why="its bundle is gone")
        else:
            yield Verdict(object=secret, fate=Fate.KEEP, why="its bundle is there")


def _is_gone(
    secret: Labelled, *, listed: Collection[tuple[str, str]], has_ended: Callable[[str, BundleId], bool]
) -> bool:
    bundle, namespace = secret.bundle, secret.namespace
    return bundle is not None and (namespace, bundle) not in listed and has_ended(namespace, bundle)
