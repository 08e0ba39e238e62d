"""Tokens from the metadata server: the identity that Google gives to a machine, or on GKE to a pod (workload identity).

It is asked without Google's library, which would load `requests` and ask for minutes: one address, one question, no
name to look up, no proxy.
https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
"""

import time
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Final

import msgspec

from resolver.sources.gcs.tokens import SCOPE, Issuer, Token
from resolver.sources.ranged import refused
from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import (
    InvalidRequest,
    SourceUnavailable,
    StagingError,
    TransientError,
    Unauthenticated,
    Unavailable,
)
from staging_protocol.printable import printable
from staging_protocol.wire import decode

_ADDRESS: Final = "169.254.169.254"
_CONNECT_WITHIN: Final = 3.0
"""Seconds; it is on the same machine."""
_ANSWERS_WITHIN: Final = 10.0
"""Seconds; on GKE it asks two services itself before it has a pod's first token."""
_READY_WITHIN: Final = 15.0
"""Seconds from the first question on in which silence means "not yet": on GKE it serves new pods a little later.
https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#limitations
"""
_MAX_ANSWER: Final = 64 * 1024
_SHOWN: Final = 200
"""Characters of an answer that are repeated."""


class _Issued(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


class MetadataServer:
    """The account of this machine or pod."""

    def __init__(self, *, connection: HttpSettings, environment: Mapping[str, str]) -> None:
        host = environment.get("GCE_METADATA_HOST") or environment.get("GCE_METADATA_IP") or _ADDRESS
        self._account = f"http://{host}/computeMetadata/v1/instance/service-accounts/default"
        self._connection = msgspec.structs.replace(
            connection, connect_timeout=_CONNECT_WITHIN, stall_timeout=_ANSWERS_WITHIN, proxies={}
        )
        self._asked_at: float | None = None
        self._missing = _nobody("NO_GCE_CHECK forbids to ask") if environment.get("NO_GCE_CHECK") == "true" else None
        self._is_account = False
        self._email: str | None = None

    def issue(self) -> Token:
        """Ask for a token; that there is none for this machine is found out once."""
        if self._missing is not None:
            raise self._missing
        try:
            issued = self._issued()
        except Unauthenticated as error:
            self._missing = None if self._is_account else error
            raise
        self._is_account = True
        return Token(headers={"Authorization": f"Bearer {issued.access_token}"}, seconds=issued.expires_in)

    def describe(self) -> str:
        """Return the account's address, if the server tells it."""
        if self._email is None and self._missing is None:
            with suppress(StagingError):
                self._email = self._ask("email").decode(errors="replace").strip()
        if self._email is not None:
            return f"{printable(self._email[:_SHOWN])} (metadata server)"
        return "the account of this machine or pod (metadata server)" if self._is_account else "nobody"

    def _issued(self) -> _Issued:
        """Ask; who is silent (SourceUnavailable) may not be there, who answers with an error (Unavailable) is."""
        self._asked_at = time.monotonic() if self._asked_at is None else self._asked_at
        try:
            return decode(self._ask(f"token?scopes={SCOPE}"), into=_Issued)
        except SourceUnavailable as error:
            if self._is_account:
                raise
            missing = _nobody("no metadata server gives this machine one")
            if time.monotonic() - self._asked_at < _READY_WITHIN:
                raise SourceUnavailable(missing.detail) from error
            raise missing from error
        except InvalidRequest as error:
            why = "what answers as metadata server is not Google's"
            raise _nobody(why) from error

    def _ask(self, what: str) -> bytes:
        url = f"{self._account}/{what}"
        headers = {"Metadata-Flavor": "Google"}
        with closing(HttpClient(self._connection)) as http, http.open("GET", url, headers=headers) as answer:
            body = answer.read(_MAX_ANSWER)
            if answer.status == 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
                return body
            error = refused(answer, name="the metadata server")
        if isinstance(error, TransientError):
            raise Unavailable(error.detail, retry_after=error.retry_after)
        said = printable(body[:_SHOWN].decode(errors="replace").strip())
        why = f"the metadata server gives this machine none ({answer.status}: {said})"
        raise _nobody(why)


def _nobody(why: str) -> Unauthenticated:
    return Unauthenticated(
        f"no Google credentials were found: no file is named, and {why}; name a file (gcs.credentials in sources.json, "
        "or GOOGLE_APPLICATION_CREDENTIALS), use workload identity, or set gcs.anonymous to true for public buckets"
    )


_: type[Issuer] = MetadataServer
