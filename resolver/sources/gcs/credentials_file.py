"""Tokens by a file of credentials: signing and exchanging them is Google's library's business (google-auth).

Of that library only the part for the file's type is loaded, and it asks over our own HTTP: the same authorities,
proxies and time-outs, but no egress rules, which are about dependencies.  The file is read again for each token, so a
Secret may change meanwhile.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from resolver.sources.gcs.tokens import SCOPE, Issuer, Token
from resolver.sources.ranged import refused
from staging_io.http import HttpClient, HttpSettings, goes_in_clear_text
from staging_protocol.errors import (
    InvalidRequest,
    RefusedByPolicy,
    SourceUnavailable,
    StagingError,
    TransientError,
    Unauthenticated,
)
from staging_protocol.printable import printable

_MAX_ANSWER: Final = 1024 * 1024
_SHOWN: Final = 300
"""Characters of the library's words that are repeated."""
_BAD: Final = 400
"""The statuses of errors begin here (RFC 9110, section 15)."""
_FOR_EVER: Final = 3600.0
"""Seconds until a token that names no end is renewed."""


class CredentialsFile:
    """Whoever a JSON file of credentials is: an account, a person, or a workload of another cloud."""

    def __init__(self, path: Path, *, named_by: str, connection: HttpSettings, allow_plain_http: bool) -> None:
        """`named_by` says who wants this file, for messages."""
        self._path = path
        self._named_by = named_by
        self._connection = connection
        self._allow_plain_http = allow_plain_http

    def issue(self) -> Token:
        """Exchange what is in the file for a token."""
        info = self._read()
        try:
            make = _maker(info)
        except ImportError as error:
            msg = f"{self._where} needs google-auth: install spark-staging[gcs]"
            raise InvalidRequest(msg) from error
        if make is None:
            msg = f"{self._where} is of the type {printable(str(info.get('type'))[:80])!r}, which is not supported"
            raise InvalidRequest(msg)
        headers: dict[str, str] = {}
        with self._translated():
            credentials = make(info)
            with closing(HttpClient(self._connection)) as http:
                credentials.refresh(_Exchange(http, allow_plain_http=self._allow_plain_http))
            credentials.apply(headers)
        return Token(headers=headers, seconds=_seconds_until(credentials.expiry))

    def describe(self) -> str:
        """Return the account or audience in the file."""
        try:
            info = self._read()
        except StagingError:
            return self._where
        target = str(info.get("service_account_impersonation_url", "")).rpartition("/")[2].partition(":")[0]
        who = info.get("client_email") or target or info.get("audience") or info.get("type")
        return f"{printable(str(who)[:200])} ({self._where})"

    @property
    def _where(self) -> str:
        return f"{self._path}, named by {self._named_by}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise our errors for those of the library, and for its stumbling over files and answers that are none."""
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except (GoogleAuthError, ValueError, TypeError, KeyError, OSError) as error:
            said = printable(str(error.args[0] if error.args else error)[:_SHOWN])
            if isinstance(error, GoogleAuthError) and error.retryable:
                msg = f"{self._where} gives no token now: {said}"
                raise SourceUnavailable(msg) from error
            msg = f"{self._where} gives no token: {said}"
            raise Unauthenticated(msg) from error

    def _read(self) -> dict[str, Any]:
        try:
            info = json.loads(self._path.read_bytes())
        except OSError as error:
            msg = f"the credentials {self._where}, cannot be read: {error.strerror}"
            raise Unauthenticated(msg) from error
        except ValueError:  # the error may show a part of the file
            info = None
        if not isinstance(info, dict):
            msg = f"the credentials {self._where}, are no JSON file of Google's"
            raise Unauthenticated(msg)
        return info


def _maker(info: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any] | None:  # noqa: PLR0911 - it is a table
    """Return what makes the library's `Credentials` of a file; whoever names the file answers for its content."""
    match info.get("type"):
        case "service_account":
            from google.oauth2 import service_account

            return partial(service_account.Credentials.from_service_account_info, scopes=[SCOPE])
        case "external_account" if str(info.get("subject_token_type")).startswith("urn:ietf:params:aws:"):
            from google.auth import aws

            return partial(aws.Credentials.from_info, scopes=[SCOPE])
        case "external_account":
            from google.auth import identity_pool

            return partial(identity_pool.Credentials.from_info, scopes=[SCOPE])
        case "authorized_user":
            from google.oauth2 import credentials

            return credentials.Credentials.from_authorized_user_info
        case "external_account_authorized_user":
            from google.auth import external_account_authorized_user

            return external_account_authorized_user.Credentials.from_info
        case "impersonated_service_account":
            from google.auth.impersonated_credentials import Credentials

            return partial(Credentials.from_impersonated_service_account_info, scopes=[SCOPE])
    return None


class _Exchange:
    """google-auth's `transport.Request`, over our HTTP.  What may pass leaves as our error: we try again, not it."""

    def __init__(self, http: HttpClient, *, allow_plain_http: bool) -> None:
        self._http = http
        self._allow_plain_http = allow_plain_http

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> "_Exchanged":
        parts = urlsplit(url)
        # What is posted proves the identity.  The metadata of clouds is asked for in clear text, everywhere.
        if method == "POST" and goes_in_clear_text(parts) and not self._allow_plain_http:
            msg = f"refusing to send credentials to {parts.scheme}://{parts.hostname} in clear text; use https"
            raise RefusedByPolicy(msg)
        sent = body.encode() if isinstance(body, str) else body
        with self._http.open(method, url, headers=headers, body=sent) as answer:
            if answer.status >= _BAD:
                error = refused(answer, name=f"{parts.scheme}://{parts.hostname}")
                if isinstance(error, TransientError):
                    raise error
            return _Exchanged(answer.status, dict(answer.headers), answer.read(_MAX_ANSWER))


class _Exchanged(msgspec.Struct, frozen=True):
    """google-auth's `transport.Response`."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _seconds_until(end: datetime | None) -> float:
    """Return the seconds until `end`, which the library has in UTC without saying so."""
    return _FOR_EVER if end is None else (end.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()


_: type[Issuer] = CredentialsFile
