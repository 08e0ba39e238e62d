"""The settings of the server: the only place that reads the environment.

Every field is `SPARK_STAGING_SERVER_<NAME>` in the environment, with `__` between a group and its field
(`SPARK_STAGING_SERVER_LIMITS__FILE_SIZE`).
Sizes are bytes and durations seconds, unless a field says otherwise.
"""

import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from staging_server.environment import check_names
from staging_server.log_format import LogFormat

_PREFIX: Final = "SPARK_STAGING_SERVER_"

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
HOUR: Final = 3600
DAY: Final = 24 * HOUR

Bytes = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Group(BaseModel):
    """Base of all groups: immutable, and a misspelt field is an error; docstrings become descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AuthMode(StrEnum):
    """How callers prove who they are."""

    NONE = "none"
    TOKENS = "tokens"


class AuthSettings(_Group):
    """Who may do what."""

    mode: AuthMode = AuthMode.NONE
    """`none`: everybody may do everything, which is refused unless the server listens on loopback only.
    `tokens`: access tokens from `tokens_file`."""

    tokens_file: Path | None = None
    """JSON file of hashed access tokens with their namespaces and verbs, written by `tokens create`; read again when it
    changes.  Required with mode `tokens`."""

    reload_every: Seconds = 2.0
    """Time between two looks at whether `tokens_file` has changed; a revoked token works for at most this long."""


class StorageSettings(_Group):
    """Where rows and bytes lie."""

    folder: Path = Path("spark-staging-data")
    """Folder for the bytes of blobs and, by default, the database.  It must exist on a disk of this machine that
    survives restarts; `serve` makes it when its parent exists."""

    database_url: SecretStr | None = None
    """URL of the database, `sqlite:////folder/metadata.sqlite3` or `postgresql://user:password@host/name`; default: the
    SQLite file `metadata.sqlite3` in `folder`.  SQLite serves one process; for several use PostgreSQL."""

    synchronous: Literal["full", "normal"] = "full"
    """What SQLite waits for at a commit.  `full`: an answered request survives a power cut.  `normal`: the last
    seconds may be lost then, while a crash of the process alone still loses nothing."""

    busy_timeout: Seconds = 10.0
    """Seconds that SQLite waits for another process (a command run beside the server) before the request fails."""

    readers: Count = 4
    """Database connections for reading; more let more reads wait for the disk at once."""

    write_buffer: Annotated[int, Field(ge=4 * KIB)] = MIB
    """Bytes of an upload that are hashed and written at once; each upload holds at most about three times that in
    memory."""

    io_threads: Count = 8
    """Threads that hash, write and read files; about two for each core, more for slow disks."""

    flush_every: Bytes = 64 * MIB
    """Bytes of an upload after which the kernel is asked to write them to the disk while more arrive, so that the
    final fsync is short.  0 leaves all to the end."""


class LimitSettings(_Group):
    """What is refused before bytes are read."""

    file_size: Bytes = 50 * GIB
    """Largest single file; larger ones get 413."""

    bundle_size: Bytes = 200 * GIB
    """Largest sum of the sizes of a bundle's files; more gets 413."""

    files_per_bundle: Count = 10_000
    """Most entries of a bundle, staged and remote together; more gets 413."""

    create_body_size: Bytes = 8 * MIB
    """Largest JSON body of a create; 10,000 files need about 2 MiB.  Larger ones get 413."""

    body_size: Bytes = 64 * KIB
    """Largest JSON body of all other requests."""

    bundles_per_namespace: Count = 100_000
    """Most live bundles of a namespace; more gets 507 until some end."""

    namespace_size: Bytes | None = None
    """Quota of a namespace: bytes of its blobs and of what its open bundles still want.  None: no quota.  When it is
    reached, blobs that no bundle has go first, oldest first; after that creates get 507."""

    uploads_in_flight: Count = 64
    """Uploads at once in this process; more wait.  Each takes about half a MiB, over TLS three `write_buffer`."""

    uploads_per_namespace: Count = 32
    """Uploads at once of one namespace in this process; more wait, so that one namespace cannot take all places."""

    uploads_waiting: Count = 1000
    """Uploads that wait for a place in this process, at most half of them of one namespace; more get 429 with
    Retry-After.  Places go round among the namespaces that wait.  One that waits holds a connection and no bytes."""

    upload_wait: Seconds = 45.0
    """Time that an upload waits for a place; then it gets 429 with Retry-After.  Keep it below the time after which
    clients give up a connection without progress (60 for ours)."""

    open_uploads_per_namespace: Count = 1000
    """Uploads in parts that a namespace may have begun and not finished; more get 429.  Those that no open bundle wants
    any more make room for new ones, the longest idle first."""

    disk_high_water: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of the disk above which no upload is accepted (507), so that the database keeps room to delete."""

    reports_per_bundle: Count = 200
    """Reports of init containers kept for each bundle; the oldest go first."""

    page_size: Count = 500
    """Most bundles on one page of a list."""

    connections: Count = 10_000
    """Open connections of a process, and no more than a third of the files that the system lets it open.  Beyond, the
    one that has waited longest for a request is closed for each new one; when all are at work, new ones may only ask
    the probes."""


class RetentionSettings(_Group):
    """How long things stay."""

    time_to_live: Seconds = 7 * DAY
    """Time that a bundle stays after its last activity (create, upload, read, report) when nothing else claims it."""

    max_time_to_live: Seconds = 30 * DAY
    """Most that a submitter may ask for as `retention.time_to_live`; more gets 400."""

    min_age: Seconds = 300
    """Time after its creation in which a bundle never expires, whatever was asked for."""

    max_lease: Seconds = DAY
    """Most that one lease renewal may ask for; more gets 400."""

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
    """Time between two sweeps of the loop; expiry is late by at most this."""

    stale_upload: Seconds = DAY
    """Age at which what an interrupted upload of a whole blob left is removed; longer than the longest upload."""

    upload_keep: Seconds = DAY
    """Time that an upload in parts stays after its last part, so that its client can go on with it; then its bytes are
    removed.  A completed one is remembered for as long."""


class TimeoutSettings(_Group):
    """How long the server waits for its peers."""

    headers: Seconds = 30
    """Time for a client to send the headers of a request; then the connection is closed."""

    stall: Seconds = 60
    """Time without a single byte of a body, in or out, after which the connection is closed."""

    keep_alive: Seconds = 75
    """Time that an idle connection stays open."""

    handshake: Seconds = 10
    """Time for a client to finish the TLS handshake; then the connection is closed."""

    slowest_rate: Annotated[int, Field(gt=0)] = KIB
    """Bytes a second below which a client counts as gone.  What the server waits for a body may last `stall` and as
    long as the bytes that came take at this rate; a reader of an answer has to take this much on average over `stall`
    seconds.  So nobody holds a place with a byte now and then."""

    shutdown_delay: Annotated[float, Field(ge=0)] = 0
    """Time after SIGTERM in which the server still takes new reads while it says that it is not ready, so that load
    balancers notice.  5 is right behind a Kubernetes Service."""

    shutdown: Seconds = 30
    """Time for running requests to end after SIGTERM; keep it under the pod's termination grace period."""


class LogSettings(_Group):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important level that is written."""

    format: LogFormat = LogFormat.JSON
    """`json`: one object a line; `console`: for people."""


class TlsSettings(_Group):
    """The server's own certificate; without both files it speaks plain HTTP."""

    certificate_file: Path | None = None
    """PEM file of the certificate and its chain."""

    key_file: Path | None = None
    """PEM file of the private key."""

    reload_every: Seconds = 10.0
    """Time between two looks at whether the files have changed.  New connections get the new certificate, running ones
    go on; a pair that does not fit together is not taken, and looked at again."""


class Settings(BaseSettings):
    """All settings of the server."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on.  Anything but loopback needs `auth.mode` other than `none`."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8480
    """TCP port; 0 lets the system choose, for tests."""

    pod_url: str | None = None
    """URL under which pods reach this server (`http://spark-staging.spark-staging:8480`); submitters learn it from
    `/v1/info` and from every create.  Default: the URL of the address that the server listens on."""

    pod_ca_file: Path | None = None
    """PEM file of the authority that pods shall trust for `pod_url`."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that serve one port.  With PostgreSQL each is a full server.  With SQLite, which has one writing
    process, all but the first only answer reads of manifests and files; docs/operating.md says where that gains."""

    auth: AuthSettings = AuthSettings()
    storage: StorageSettings = StorageSettings()
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    logs: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.auth.mode is AuthMode.TOKENS and self.auth.tokens_file is None:
            msg = "auth.mode=tokens needs auth.tokens_file"
            raise ValueError(msg)
        if self.retention.time_to_live > self.retention.max_time_to_live:
            msg = "retention.time_to_live is larger than retention.max_time_to_live"
            raise ValueError(msg)
        return self


def settings_text(settings: Settings) -> str:
    """Return the settings as JSON, for a process of our own: the secrets are in it."""
    values = settings.model_dump(mode="json")
    url = settings.storage.database_url
    values["storage"]["database_url"] = None if url is None else url.get_secret_value()
    return json.dumps(values)


def share_metrics(folder: Path | None) -> None:
    """Let prometheus-client, which is not imported yet, keep its numbers in files that several processes add to.

    None lets it keep them to itself, also when somebody has set its variable for another program.
    """
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # noqa: TID251 - this is settings.py
    if folder is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # noqa: TID251 - this is settings.py


def shared_metrics() -> Path | None:
    """Return the folder of `share_metrics`, also in a child of the process that called it."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - this is settings.py
    return None if folder is None else Path(folder)


def check_environment() -> None:
    """Refuse names in the environment that are no settings; raises InvalidRequest as `environment.check_names` does."""
    check_names(os.environ, prefix=_PREFIX, known=frozenset(_names()))  # noqa: TID251 - this is settings.py


def _names() -> Iterator[str]:
    """Yield the names of all settings in the environment, without the prefix; a group alone may be given as JSON."""
    for name, field in Settings.model_fields.items():
        yield name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Group):
            yield from (f"{name}__{inner}".upper() for inner in field.annotation.model_fields)
