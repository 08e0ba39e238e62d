"""How each bucket is reached, by `sources.json` and what Google's own libraries take from the environment.

What a bucket of its own section leaves out comes from the common one, but an identity comes from one of them as a
whole: a bucket with credentials is not anonymous because the others are.  STORAGE_EMULATOR_HOST counts where no
endpoint is set, and emulators are asked anonymously, as Google's library does.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from staging_protocol.sources import GcsBucket, GcsSources

GOOGLE: Final = "https://storage.googleapis.com"


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """How one bucket is reached.

    Attributes:
        endpoint: URL of the service.
        anonymous: whether nobody in particular asks.
        credentials: the file with the identity; None: the one that is found.
        user_project: project that pays.
    """

    endpoint: str
    anonymous: bool
    credentials: str | None
    user_project: str | None


def bucket_of(name: str, *, settings: GcsSources, environment: Mapping[str, str]) -> Bucket:
    """Return how the bucket `name` is reached."""
    own = settings.buckets.get(name, GcsBucket())
    emulator = environment.get("STORAGE_EMULATOR_HOST")
    endpoint = own.endpoint or settings.endpoint
    who = settings if own.anonymous is None and own.credentials is None else own
    is_emulated = endpoint is None and bool(emulator) and who.credentials is None
    return Bucket(
        endpoint=(endpoint or _with_scheme(emulator) or GOOGLE).rstrip("/"),
        anonymous=is_emulated if who.anonymous is None else who.anonymous,
        credentials=who.credentials,
        user_project=own.user_project or settings.user_project,
    )


def objects_url(bucket: Bucket, name: str) -> str:
    """Return the URL of the objects of the bucket `name` (the JSON API's `/storage/v1/b/{bucket}/o`)."""
    return f"{bucket.endpoint}/storage/v1/b/{quote(name, safe='')}/o"


def _with_scheme(host: str | None) -> str | None:
    return host if not host or "://" in host else f"http://{host}"
