"""The server's TLS, from two PEM files, taken anew when they change.

A context is never changed once connections use it: a new pair gets a new one, which exists only if certificate and key
fit together.  So a pair that is half replaced breaks nothing; it is looked at again until it is whole (`followed`).
"""

import ssl
from pathlib import Path
from typing import Final, Protocol

import structlog

from staging_protocol.errors import InvalidRequest
from staging_server.connections.certificates import end_of_certificate
from staging_server.followed import Followed
from staging_server.settings import TlsSettings

_log: Final = structlog.get_logger("tls")


class CertificateObserver(Protocol):
    """Is told of the certificate in use; never waits."""

    def certificate_taken(self, *, expires: float) -> None:
        """A certificate is in use now; `expires` is in seconds since 1970."""
        ...

    def certificate_refused(self) -> None:
        """New files were found that cannot be used."""
        ...


class Tls:
    """The context for new connections, kept up to date by `watch`."""

    def __init__(self, certificate: Path, key: Path, *, observer: CertificateObserver) -> None:
        """Read the files; raises InvalidRequest.  Waits for the disk."""
        self._certificate = certificate
        self._key = key
        self._observer = observer
        self._files = Followed(certificate, key)
        self._take()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        return self._context

    async def watch(self, *, every: float) -> None:
        """Look at the files, and take them when they have changed; until cancelled."""
        await self._files.watch(self._take_again, refused=self._complain, every=every)

    def _take_again(self) -> None:
        self._take()
        _log.info("certificate reloaded", certificate=str(self._certificate))

    def _complain(self, error: InvalidRequest) -> None:
        self._observer.certificate_refused()
        _log.error("certificate not reloaded, the old one stays in use", detail=error.detail)

    def _take(self) -> None:
        context = server_context(self._certificate, self._key)
        try:
            expires = end_of_certificate(self._certificate.read_text(errors="replace")).timestamp()
        except OSError as error:
            msg = f"the certificate {self._certificate} cannot be read: {error.strerror}"
            raise InvalidRequest(msg) from error
        self._context = context
        self._observer.certificate_taken(expires=expires)


def open_tls(settings: TlsSettings, *, observer: CertificateObserver) -> Tls | None:
    """Return the server's TLS, or None for plain HTTP.

    Raises:
        InvalidRequest: one of the two files is missing or not usable.
    """
    pair = _pair(settings)
    return None if pair is None else Tls(*pair, observer=observer)


def check_tls(settings: TlsSettings) -> None:
    """Raise what `open_tls` raises, and leave nothing behind."""
    pair = _pair(settings)
    if pair is not None:
        server_context(*pair)


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context with this pair: TLS 1.2 and newer, HTTP/1.1, and OpenSSL's default ciphers.

    Raises:
        InvalidRequest: the files cannot be read, or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password OpenSSL would ask the terminal for the one of an encrypted key, and wait.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        msg = f"the certificate {certificate} and key {key} cannot be used: {_reason(error)}"
        raise InvalidRequest(msg) from error
    return context


def _pair(settings: TlsSettings) -> tuple[Path, Path] | None:
    certificate, key = settings.certificate_file, settings.key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        msg = "TLS needs both tls.certificate_file and tls.key_file"
        raise InvalidRequest(msg)
    return certificate, key


def _reason(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return "one of them is no PEM file of its kind, or the key has a password"
