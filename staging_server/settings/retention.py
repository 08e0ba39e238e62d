"""How long bundles, blobs and what is told about them stay."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from staging_server.settings.group import DAY, HOUR, Group, Seconds


class RetentionSettings(Group):
    """How long things stay."""

    time_to_live: Seconds | None = None
    """Time that a bundle stays after its last activity (create, upload, read, report) while no owner and no pod has
    claimed it.  Default: 7 days, and 1 hour when Kubernetes is connected, which then says who uses it."""

    max_time_to_live: Seconds = 30 * DAY
    """Most that a submitter may ask for as `retention.time_to_live`; more gets 400."""

    min_age: Seconds = 300
    """Time after its creation in which a bundle never expires, whatever was asked for."""

    grace: Seconds = HOUR
    """Time that a bundle stays after its owner and its pods have ended, for those that are started again."""

    max_lease: Seconds = DAY
    """Most that one lease renewal may ask for; more gets 400."""

    policies_file: Path | None = None
    """TOML file of other values for some namespaces: `time_to_live`, `max_time_to_live`, `min_age`, `grace`,
    `max_lease`, `blob_keep` and `quota`; docs/operating.md shows one.  It is read again when it changes; an invalid one
    changes nothing."""

    reload_every: Seconds = 10.0
    """Time between two looks at whether `policies_file` has changed."""

    blob_keep: Seconds = 7 * DAY
    """Time that a blob stays held for its namespace after the last bundle that used it, so that a nightly job uploads
    nothing."""

    blob_grace: Annotated[float, Field(ge=0)] = DAY
    """Time between the moment when the last namespace gave up a blob and the removal of its bytes.  Keep it longer
    than the interval of database back-ups: a restored database then still finds its bytes."""

    token_overlap: Annotated[float, Field(ge=0)] = 600
    """Time that a bundle's old token stays valid after `new_token`."""

    tombstones: Seconds = 30 * DAY
    """Time in which the token of an ended bundle gets 410 with the reason; afterwards 404."""

    idempotency_keys: Seconds = DAY
    """Time in which a repeated create with the same Idempotency-Key is recognised."""

    audit: Seconds = 90 * DAY
    """Time that audit rows stay."""

    sweep_every: Seconds = 60
    """Time between two sweeps of the loop; expiry is late by at most this, and with Kubernetes, where a list has to
    confirm that nothing uses a bundle, by three times this and a minute.  When more of Kubernetes becomes known, as
    after a start, the next sweep comes within seconds."""

    stale_upload: Seconds = DAY
    """Age at which what an interrupted upload of a whole blob left is removed; longer than the longest upload."""

    upload_keep: Seconds = DAY
    """Time that an upload in parts stays after its last part, so that its client can go on with it; then its bytes are
    removed.  A completed one is remembered for as long."""
