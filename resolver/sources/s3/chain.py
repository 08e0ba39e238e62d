"""Access keys that AWS's own chain finds: environment, web identity, profile, container, machine.

botocore finds and refreshes them; it is imported when a chain is asked first.  When S3 no longer takes what it found, a
chain is looked through again, once for each key and state of its files.  Threads that waited share a failure.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from resolver.sources.s3.keys import AccessKey, Keys
from resolver.sources.s3.places import AwsConfig
from staging_io.http import HttpSettings
from staging_protocol.errors import InvalidRequest, SourceUnavailable, StagingError, Unauthenticated
from staging_protocol.printable import printable

if TYPE_CHECKING:
    from botocore.session import Session

T = TypeVar("T")
FilesState = tuple[tuple[int, int, int] | None, ...]

_NOBODY: Final = (
    "no credentials for S3 were found: not in the environment, a web identity or a profile, nor of pod or machine; "
    "name some in sources.json (s3.access_key, s3.credentials, s3.profile), or say s3.anonymous for what is public"
)
_FOUND_IN: Final = {
    "env": "from the environment",
    "shared-credentials-file": "of {profile} in {file}",
    "config-file": "of {profile} in the config file",
    "assume-role": "of {role}, assumed by {profile}",
    "assume-role-with-web-identity": "of {role}, by web identity",
    "container-role": "of the container's role",
    "iam-role": "of the machine's role",
}
"""What is told of each way by which botocore finds keys."""


class Chain:
    """The chain of one profile or credentials file, or of neither; it also knows what AWS's files say of S3."""

    def __init__(
        self, connection: HttpSettings, *, profile: str | None = None, credentials: Path | None = None
    ) -> None:
        """`connection` is how credentials are asked for."""
        self._connection = connection
        self._profile = profile
        self._file = credentials
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._credentials: Any = None
        self._refused: tuple[AccessKey, FilesState] | None = None
        self._asked = 0
        self._failure: StagingError | None = None

    def config(self) -> AwsConfig:
        """Return what the environment and files say of S3.

        Raises:
            InvalidRequest: they make no sense, or botocore is not installed.
        """
        from resolver.sources.s3.sessions import config_of

        with self._lock:
            return _translated(lambda: config_of(self._opened()))

    def current(self) -> AccessKey:
        """Return the key that is found first."""
        asked = self._asked
        with self._lock:
            if self._failure is not None and self._asked != asked:
                raise self._failure
            return self._found()

    def renewed(self, refused: AccessKey) -> AccessKey | None:
        """Look through the chain again, unless nothing has changed since that was done for the same key."""
        with self._lock:
            seen = refused, _state(self._opened())
            if seen != self._refused:
                self._refused, self._session = seen, None
            key = self._found()
        return None if key == refused else key

    def describe(self) -> str:
        """Return the key's name, and the way by which it was found."""
        try:
            key = self.current()
        except StagingError as error:
            return f"nobody: {error.detail}"
        with self._lock:
            session, way = self._opened(), getattr(self._credentials, "method", "botocore")
            told = _FOUND_IN.get(way, f"by {way}").format(
                profile=f"profile {session.profile or 'default'}",
                file=session.get_config_variable("credentials_file"),
                role=session.get_config_variable("role_arn") or "a role",
            )
        return f"access key {key.name} {told}"

    def _found(self) -> AccessKey:
        self._failure = None
        try:
            return _translated(self._ask)
        except StagingError as error:
            self._failure = error
            raise
        finally:
            self._asked += 1

    def _ask(self) -> AccessKey:
        session = self._opened()
        if self._credentials is None:
            self._credentials = session.get_credentials() or _Missing()
        found = self._credentials.get_frozen_credentials()
        return AccessKey(id=found.access_key, secret=found.secret_key, session_token=found.token or None)

    def _opened(self) -> "Session":
        if self._session is None:
            from resolver.sources.s3.sessions import open_session

            file = None if self._file is None else str(self._file)
            self._session = open_session(self._connection, profile=self._profile, credentials=file)
            self._credentials = None
        return self._session


class _Missing:
    """Remembers that nothing was found: looking again may take seconds, for each of many dependencies."""

    def get_frozen_credentials(self) -> Any:
        raise Unauthenticated(_NOBODY)


def _state(session: "Session") -> FilesState:
    """Return what changes when one of the files that a session reads is written or replaced."""
    names = (session.get_config_variable(name) for name in ("credentials_file", "config_file"))
    return tuple(_state_of(Path(name).expanduser()) for name in names)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _translated(ask: Callable[[], T]) -> T:
    """Return what `ask` returns, and raise our errors for botocore's."""
    from botocore import exceptions as botocore

    try:
        return ask()
    except botocore.ClientError as error:
        raise _of_sts(error.response) from error
    except (botocore.HTTPClientError, botocore.MetadataRetrievalError, botocore.CredentialRetrievalError) as error:
        msg = f"no credentials for S3 are to be had now: {printable(str(error))}"
        raise SourceUnavailable(msg) from error
    except botocore.BotoCoreError as error:
        msg = f"the credentials for S3 cannot be used: {printable(str(error))}"
        raise InvalidRequest(msg) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # A file that is not there, or an answer of another shape, which botocore takes for granted.
        msg = f"the credentials for S3 cannot be used: {type(error).__name__}: {printable(str(error))}"
        raise Unauthenticated(msg) from error


def _of_sts(response: dict[str, Any]) -> StagingError:
    """Return the error for a refusal of STS, to give keys for a role."""
    refusal = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(refusal.get("Code", ""))
    msg = f"STS gives no credentials for S3: {printable(code)}: {printable(str(refusal.get('Message', '')))}"
    if status >= 500 or "Throttl" in code or code in {"IDPCommunicationError", "RequestLimitExceeded"}:  # noqa: PLR2004 - RFC 9110, 15.6
        return SourceUnavailable(msg)
    return Unauthenticated(msg)


_: type[Keys] = Chain
