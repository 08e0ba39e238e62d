"""botocore's sessions: what reads the environment and AWS's files as every AWS tool does.

A session makes no client, so no model of a service is loaded, unless a role has to be assumed at STS.  Then botocore
asks through our own client: one set of authorities, proxies and time-outs.  (Its `before-send` event is for that: what
a handler returns is the answer.)  The two services that give credentials to containers and machines are at link-local
addresses; botocore asks those itself, with time-outs of a second or two, or AWS_METADATA_SERVICE_TIMEOUT.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.session import Session

from resolver.sources.s3.places import AwsConfig
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import InvalidRequest

_VARIABLES: Final = {
    # botocore itself knows the second name only, all other SDKs the first; clusters set both.
    "region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None),
    "s3_endpoint": ("endpoint_url", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"], None, None),
    "role_arn": ("role_arn", "AWS_ROLE_ARN", None, None),
}
"""Session variables: key in the config file, in the environment, default, conversion."""

_BEYOND_FILES: Final = ("ec2-credentials-file", "boto-config", "container-role", "iam-role")
"""Where the chain looks at last; not for somebody who names a credentials file."""


def open_session(connection: HttpSettings, *, profile: str | None, credentials: str | None) -> Session:
    """Return a session; with `credentials`, that file alone says who asks, with `default` where no profile is named."""
    if credentials is not None and profile is None:
        profile = "default"
    session = Session(session_vars=_VARIABLES, profile=profile)
    # The engine tries again, not botocore.
    session.set_default_client_config(Config(retries={"total_max_attempts": 1}))
    session.register("before-send", _Sending(connection))
    if credentials is not None:
        session.set_config_variable("credentials_file", credentials)
        resolver = session.get_component("credential_provider")
        for method in _BEYOND_FILES:
            resolver.remove(method)
    return session


def config_of(session: Session) -> AwsConfig:
    """Return what the environment and files say about S3.

    Raises:
        InvalidRequest: they ask for what is not supported.
    """
    s3 = session.get_config_variable("s3") or {}
    if s3.get("use_accelerate_endpoint"):
        msg = "AWS's configuration asks for S3 transfer acceleration, which is not supported (use_accelerate_endpoint)"
        raise InvalidRequest(msg)
    return AwsConfig(
        region=session.get_config_variable("region"),
        endpoint=_endpoint(session),
        addressing_style=s3.get("addressing_style"),
        dual_stack=bool(session.get_config_variable("use_dualstack_endpoint") or s3.get("use_dualstack_endpoint")),
        fips=bool(session.get_config_variable("use_fips_endpoint")),
        suffix_of=_suffixes(session),
    )


def _endpoint(session: Session) -> str | None:
    """Return the URL of S3, by the rules of "Service-specific endpoints" in the AWS SDKs' reference."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    own = session.full_config.get("services", {}).get(profile.get("services"), {}).get("s3", {}).get("endpoint_url")
    found: str | None = session.get_config_variable("s3_endpoint")
    # A service's own section counts for more than the endpoint of all services, but less than the environment.
    return own if own is not None and found == profile.get("endpoint_url") else found


def _suffixes(session: Session) -> Callable[[str], str]:
    """Return what finds the DNS suffix of a region's partition, in botocore's small table of them."""
    import re

    partitions = session.get_component("data_loader").load_data("partitions")["partitions"]

    def suffix_of(region: str) -> str:
        for one in partitions:
            if region in one["regions"] or re.fullmatch(one["regionRegex"], region):
                return str(one["outputs"]["dnsSuffix"])
        return str(partitions[0]["outputs"]["dnsSuffix"])

    return suffix_of


class _Sending:
    """Sends botocore's requests by a client of ours, which lives as long as the request."""

    def __init__(self, connection: HttpSettings) -> None:
        self._connection = connection

    def __call__(self, request: AWSPreparedRequest, **_event: Any) -> AWSResponse:
        headers = {name: _text(value) for name, value in request.headers.items()}
        with (
            closing(HttpClient(self._connection)) as http,
            http.open(request.method, request.url, headers=headers, body=_bytes(request.body)) as answer,
        ):
            return AWSResponse(request.url, answer.status, dict(answer.headers), _Body(answer.read(_MOST)))


_MOST: Final = 1024 * 1024
"""Bytes of an answer of STS that are read; it has two thousand."""


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(body: str | bytes | None) -> bytes | None:
    return body.encode() if isinstance(body, str) else body
