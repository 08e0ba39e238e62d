"""Creates that are repeated under an Idempotency-Key: the bundle is the one of the first, its token is new."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from staging_protocol.api.bundles import BundleState
from staging_protocol.errors import IdempotencyMismatch
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_server.audit import Entry, append
from staging_server.metadata.holdings import Held
from staging_server.metadata.new_bundles import Created, NewBundleRow
from staging_server.metadata.rows import AnyRow, BundleAt, lock_bundle
from staging_server.metadata.tables import bundles, idempotency_keys

_FIND_KEYS: Final = select(idempotency_keys).where(idempotency_keys.c.scope.in_(bindparam("scopes", expanding=True)))
_NEW_TOKEN: Final = (
    update(bundles)
    .where(bundles.c.number == bindparam("of_bundle"))
    .values(
        token_hash=bindparam("new_hash"),
        token_used=False,
        old_token_hash=bindparam("old_hash"),
        old_token_until=None,
    )
)
_TOKEN_OF: Final = select(bundles.c.token_hash, bundles.c.token_used).where(bundles.c.number == bindparam("of_bundle"))


def find_keys(connection: Connection, items: Sequence[NewBundleRow]) -> dict[str | None, AnyRow]:
    """Return the rows of those keys of `items` that were used before, by scope."""
    scopes = [item.scope for item in items if item.scope is not None]
    if not scopes:
        return {}
    return {row.scope: row for row in connection.execute(_FIND_KEYS, {"scopes": scopes})}


def replay(connection: Connection, item: NewBundleRow, key: AnyRow, held: Held) -> Created:
    """Return the bundle that was made under `key`, with a new token.

    Raises:
        IdempotencyMismatch: the key was used with another body.
        BundleExpired: its bundle has ended.
    """
    if key.body_hash != item.body_hash:
        raise IdempotencyMismatch("this Idempotency-Key was used within the last day, with another body")
    bundle_id = BundleId(key.bundle_id)
    row = lock_bundle(connection, BundleAt(item.tenant, bundle_id))
    first = connection.execute(_TOKEN_OF, {"of_bundle": row.number}).one()
    # An unused token is void from now on: its answer was lost.  A used one has reached somebody and stays.
    old = first.token_hash if first.token_used else None
    token = Token.generate(TokenKind.BUNDLE, identifier=bundle_id)
    connection.execute(_NEW_TOKEN, {"of_bundle": row.number, "new_hash": token.hash, "old_hash": old})
    entry = Entry(
        at=item.now,
        action="bundle.create-again",
        caller=item.caller,
        namespace=item.tenant.namespace,
        subject=bundle_id,
    )
    append(connection, [entry])
    return Created(
        id=bundle_id,
        token=token,
        sealed=row.state == BundleState.SEALED,
        wanted=frozenset(file.digest for file in item.files if file.digest not in held),
        row=row,
    )
