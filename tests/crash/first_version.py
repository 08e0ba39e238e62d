"""A data folder as the first release left it, for migrations: bundles, a tombstone, an upload that was cut off."""

import time
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, create_engine, insert

from staging_protocol.digests import Digest
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.tokens import BundleId, Token, TokenKind
from staging_protocol.uploads import UploadId
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import encode
from staging_server.blobs.base import BlobKey
from staging_server.metadata.migrations import migrate
from tests.crash.ledger import Job, Ledger

BUNDLES: Final = 12
_NOW: Final = time.time_ns() // 1000


def make_first_version(data: Path, ledger: Ledger) -> None:
    """Write it; `ledger` knows afterwards what is there."""
    engine = create_engine(f"sqlite:///{data / 'metadata.sqlite3'}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:

        def add(table: str, **values: Any) -> None:
            connection.execute(insert(tables.tables[table]), values)

        add("tenants", id=1, cluster="local", namespace="team", uid="")
        for number in range(BUNDLES):
            _add_bundle(add, data, ledger.draft(), number=number)
        add("tombstones", id=BundleId.generate(), tenant_id=1, token_hash="0" * 64, ended_at=_NOW, reason="expired")
        _add_cut_off_upload(add, data)
    engine.dispose()


def _add_bundle(add: Any, data: Path, job: Job, *, number: int) -> None:
    (name, content), (file,) = next(iter(job.contents.items())), job.body.files
    job.id = BundleId.generate()
    job.token = Token.generate(TokenKind.BUNDLE, identifier=job.id)
    job.sealed = True
    key = BlobKey.of(file.digest, upload=UploadId.generate())
    (data / key).parent.mkdir(parents=True, exist_ok=True)
    (data / key).write_bytes(content)
    manifest = Manifest(
        entries=(
            ManifestEntry(
                uri=DependencyUri.staged(Kind.JAR, file.name).text, kind=Kind.JAR, target=file.name,
                digest=file.digest, size=file.size,
            ),
        )
    )  # fmt: skip
    add("blobs", digest=file.digest, state="stored", size=file.size, key=key)
    add("tenant_blobs", tenant_id=1, digest=file.digest, last_used=_NOW)
    add(
        "bundles", number=number + 1, id=job.id, tenant_id=1, application=job.name, state="sealed", created_at=_NOW,
        created_by="anonymous", last_activity_at=_NOW, files=1, size=file.size, reserved=0, token_hash=job.token.hash,
        token_used=False, manifest_digest=manifest.digest(), manifest=encode(manifest),
    )  # fmt: skip
    add("bundle_files", bundle=number + 1, kind="jar", name=name, digest=file.digest, size=file.size)


def _add_cut_off_upload(add: Any, data: Path) -> None:
    upload, digest = UploadId.generate(), Digest.of(b"never came")
    (data / "uploads").mkdir()
    (data / "uploads" / upload).write_bytes(b"never")
    add("uploads", id=upload, tenant_id=1, digest=digest, key=BlobKey.of(digest, upload=upload), started_at=_NOW)
