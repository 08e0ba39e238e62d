"""Where the requests for a bucket go, and the region that they are signed for.

With an endpoint of its own (`sources.json`, or AWS_ENDPOINT_URL_S3 and its like) a service is asked there, with the
bucket in the path unless a setting says otherwise: most such services have no host name for each bucket.  AWS itself is
asked at the endpoint of the bucket's region; a region that is not known is us-east-1 until AWS names the right one.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from resolver.sources.s3.buckets import Bucket
from resolver.sources.s3.objects import S3Object
from resolver.sources.s3.signing import encoded_path
from staging_io.http import goes_in_clear_text
from staging_protocol.errors import InvalidRequest

_S3: Final = re.compile(r"s3(-[a-z0-9-]+)?")
"""The part of a host's name that says that it is S3's, also in its older form, `s3-eu-west-1`."""

FIRST_REGION: Final = "us-east-1"
"""What S3 itself takes a request to be for that names no region."""

_REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""A bucket that can be the first part of a host name, which one certificate `*.s3…` covers: without dots."""


class AwsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment and AWS's config files say.

    Attributes:
        region: of all buckets.
        endpoint: URL of another service than AWS.
        addressing_style: `path`, `virtual`, or anything else for neither.
        dual_stack: ask endpoints that have IPv6 addresses too.
        fips: ask endpoints with validated cryptography.
        suffix_of: the end of host names in the partition (`aws`, `aws-cn`, …) of a region.
    """

    region: str | None = None
    endpoint: str | None = None
    addressing_style: str | None = None
    dual_stack: bool = False
    fips: bool = False
    suffix_of: Callable[[str], str] = lambda _region: "amazonaws.com"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where one bucket is asked.

    Attributes:
        origin: scheme, host and port, and what a service has before its buckets.
        prefix: the path before the slash of a key, encoded.
        region: what requests are signed for.
        in_clear_text: whether others on the network can read what is sent.
        suffix: the end of AWS's host names; None: it is another service.
    """

    origin: str
    prefix: str
    region: str
    in_clear_text: bool
    suffix: str | None = None

    @property
    def host(self) -> str:
        """What the Host header says."""
        return urlsplit(self.origin).netloc

    def path(self, what: S3Object) -> str:
        """Return the path of an object, encoded.

        Raises:
            InvalidRequest: dots in the key lead out of the bucket, so that on the way it may become another one's.
        """
        if self.prefix and _climbs_out(what.key):
            msg = (
                f"the key {what.key!r} leads out of the bucket {what.bucket}, which is in the path: it is not asked for"
            )
            raise InvalidRequest(msg)
        return f"{self.prefix}/{encoded_path(what.key)}"

    def redirected(self, location: str) -> "Place | None":
        """Return where AWS leads to for a while; None where nobody but AWS, or to anywhere else, may lead."""
        try:
            target = urlsplit(location)
            host, port = target.hostname or "", target.port
        except ValueError:
            return None
        is_s3 = host.endswith(f".{self.suffix}") and any(_S3.fullmatch(label) for label in host.split("."))
        if self.suffix is None or target.scheme != "https" or port is not None or not is_s3:
            return None
        return msgspec.structs.replace(self, origin=f"https://{host}")


def place_of(bucket: Bucket, *, config: AwsConfig, region: str | None = None) -> Place:
    """Return where `bucket` is asked; `region` is what the service itself has said."""
    region = region or bucket.region or config.region or FIRST_REGION
    endpoint = bucket.endpoint or config.endpoint
    if endpoint is not None:
        in_path = _style(bucket, config) != "virtual"
        return _placed(endpoint.rstrip("/"), bucket.name, in_path=in_path, region=region, suffix=None)
    suffix = config.suffix_of(region)
    name = f"s3{'-fips' if config.fips else ''}{'.dualstack' if config.dual_stack else ''}.{region}.{suffix}"
    in_path = _style(bucket, config) == "path" or not _HOST_NAME.fullmatch(bucket.name)
    return _placed(f"https://{name}", bucket.name, in_path=in_path, region=region, suffix=suffix)


def region_named(text: str | None) -> str | None:
    """Return a region that a service names; None where it is no such name: it becomes a part of a host's."""
    return text if text and _REGION.fullmatch(text) else None


def _style(bucket: Bucket, config: AwsConfig) -> str | None:
    if bucket.path_style is not None:
        return "path" if bucket.path_style else "virtual"
    # What AWS's own files say is about the service that they name.
    return config.addressing_style if bucket.endpoint is None else None


def _placed(url: str, bucket: str, *, in_path: bool, region: str, suffix: str | None) -> Place:
    parts = urlsplit(url)
    # The host is signed, so it is written here as every client sends it.
    default = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    authority = parts.netloc.lower().removesuffix(default) if default else parts.netloc
    host = authority if in_path else f"{bucket}.{authority}"
    prefix = encoded_path(f"{parts.path}/{bucket}" if in_path else parts.path)
    origin = f"{parts.scheme}://{host}"
    in_clear_text = goes_in_clear_text(urlsplit(origin))
    return Place(origin=origin, prefix=prefix, region=region, in_clear_text=in_clear_text, suffix=suffix)


def _climbs_out(key: str) -> bool:
    depth = 0
    for part in key.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return False
