"""What `sources.json` says of each bucket.

What a bucket's own section leaves out comes from the common one, but an identity comes from one of them as a whole: a
bucket with an access key is not anonymous because the others are.
"""

import msgspec

from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import S3AccessKey, S3Bucket, S3Sources


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: nobody, a key in files, a profile, a credentials file; with all empty, whom AWS's chain finds."""

    anonymous: bool = False
    profile: str | None = None
    credentials: str | None = None
    access_key: S3AccessKey | None = None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """How one bucket is reached, as far as the settings say it."""

    name: str
    identity: Identity
    endpoint: str | None
    region: str | None
    path_style: bool | None
    requester_pays: bool


def bucket_of(name: str, *, settings: S3Sources) -> Bucket:
    """Return what the settings say of the bucket `name`.

    Raises:
        InvalidRequest: they name two identities at once.
    """
    own = settings.buckets.get(name, S3Bucket())
    pays = settings.requester_pays if own.requester_pays is None else own.requester_pays
    return Bucket(
        name=name,
        identity=_identity(own) or _identity(settings) or Identity(),
        endpoint=own.endpoint or settings.endpoint,
        region=own.region or settings.region,
        path_style=settings.path_style if own.path_style is None else own.path_style,
        requester_pays=bool(pays),
    )


def _identity(section: S3Bucket) -> Identity | None:
    """Return whom `section` names; None: it says nothing about that."""
    if (section.anonymous, section.profile, section.credentials, section.access_key) == (None, None, None, None):
        return None
    ways = (section.anonymous, section.access_key is not None, section.profile or section.credentials)
    if sum(map(bool, ways)) > 1:
        msg = "s3 of sources.json names two identities at once: anonymous, access_key, or profile and credentials"
        raise InvalidRequest(msg)
    return Identity(
        anonymous=bool(section.anonymous), profile=section.profile,
        credentials=section.credentials, access_key=section.access_key,
    )  # fmt: skip
