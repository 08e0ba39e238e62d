"""Who we are to a cluster: a user, as a kubeconfig or a pod describes one, and the credential that is right now.

A token in a file may be replaced at any time, so it is read for each request.  What a login program gives is kept until
it expires.  When the API server refuses a credential, everything is read anew once, which runs a login program again.

Nothing here shows a secret: neither `repr`, nor an error.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from staging_protocol.errors import InvalidRequest
from submission.kube.login_program import LoginProgram, log_in


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of a cluster.

    Attributes:
        words: who that is, for people.
        token: a fixed one.
        token_file: where the token of now is.
        certificate: PEM of a certificate with its chain and its key.
        login: gives credentials where there is no token.
        basic: name and password.
        acting: headers that let us act as somebody else.
    """

    words: str
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    certificate: bytes | None = field(default=None, repr=False)
    login: LoginProgram | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    acting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is shown to the API server.

    Attributes:
        token: a bearer's.
        authorization: value of the header; None with a certificate alone, or with nothing.
        certificate: PEM of a certificate with its chain and its key.
        expires: time (Unix) after which it is of no use; None: not known.
    """

    token: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    expires: float | None = None


class Identity:
    """A user, and the credential of now; safe to use from several threads."""

    def __init__(self, user: User, *, read: Callable[[], User], clock: Callable[[], float] = time.time) -> None:
        """`read` reads the user anew."""
        self._user = user
        self._read = read
        self._clock = clock
        self._lock = Lock()
        self._kept: Credential | None = None

    @property
    def user(self) -> User:
        """The user as it was read last."""
        return self._user

    def current(self) -> Credential:
        """Return what to show now.

        Raises:
            InvalidRequest: a login program does not work, or a file is not there.
        """
        with self._lock:
            return self._current()

    def after_refusal(self, refused: Credential) -> Credential | None:
        """Return another credential, after the API server did not take `refused`; None when there is none."""
        with self._lock:
            if self._kept is None or self._kept == refused:  # else another thread was faster
                self._user = self._read()
                self._kept = None
            found = self._current()
        return None if found == refused else found

    def _current(self) -> Credential:
        user = self._user
        if user.login is None or user.token is not None or user.token_file is not None:
            return _fixed(user)
        kept = self._kept
        if kept is None or (kept.expires is not None and kept.expires <= self._clock()):
            given = log_in(user.login)
            kept = self._kept = Credential(
                token=given.token,
                authorization=None if given.token is None else f"Bearer {given.token}",
                certificate=given.certificate or user.certificate,
                expires=given.expires,
            )
        return kept


def _fixed(user: User) -> Credential:
    token = user.token if user.token_file is None else _token_in(user.token_file)
    authorization = None if token is None else f"Bearer {token}"
    if authorization is None and user.basic is not None:
        authorization = f"Basic {b64encode(':'.join(user.basic).encode()).decode()}"
    return Credential(token=token, authorization=authorization, certificate=user.certificate)


def _token_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it holds no text"
        msg = f"the token file {path} of the kubeconfig, or of this pod, cannot be read: {why}"
        raise InvalidRequest(msg) from None  # the text may be a token
