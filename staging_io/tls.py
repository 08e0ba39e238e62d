"""What certificates of peers are checked by, and what we show to those who ask for ours.

A context is made when it is first needed: loading the system's authorities takes 20 ms.  Hosts that are shown a
certificate have one of their own each, made anew when its files change: they may be replaced while a program runs.
"""

import ssl
from pathlib import Path
from threading import Lock
from urllib.parse import SplitResult

from staging_io.exchange import ClientPair, HttpSettings, authority_of
from staging_protocol.errors import InvalidRequest


class TlsContexts:
    """The contexts of a program; safe to use from several threads."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._usual: ssl.SSLContext | None = None
        self._own: dict[ClientPair, tuple[object, ssl.SSLContext]] = {}
        self._lock = Lock()

    def of(self, url: SplitResult) -> ssl.SSLContext:
        """Return the context for connections to `url`.

        Raises:
            InvalidRequest: a file of the settings cannot be used.
        """
        with self._lock:
            pair = self._settings.client_pairs.get(authority_of(url)) if self._settings.client_pairs else None
            if pair is not None:
                return self._with(pair)
            if self._usual is None:
                self._usual = self._trusting()
            return self._usual

    def _with(self, pair: ClientPair) -> ssl.SSLContext:
        state = tuple(_state(path) for path in (pair.certificate, pair.key) if path is not None)
        held = self._own.get(pair)
        if held is None or held[0] != state:
            context = self._trusting()
            _show(context, pair)
            held = self._own[pair] = (state, context)
        return held[1]

    def _trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.ca_file is not None:
            try:
                context.load_verify_locations(cafile=self._settings.ca_file)
            except OSError as error:
                msg = f"{self._settings.ca_file} is not a readable PEM file of certificates: {error}"
                raise InvalidRequest(msg) from error
        return context


def _show(context: ssl.SSLContext, pair: ClientPair) -> None:
    try:
        # An empty password: nobody is there to be asked for one.
        context.load_cert_chain(pair.certificate, pair.key, password="")
    except (OSError, ValueError) as error:
        key = "" if pair.key is None else f" with the key {pair.key}"
        msg = f"the client certificate {pair.certificate}{key} cannot be used (PEM, without a password): {error}"
        raise InvalidRequest(msg) from error


def _state(path: str) -> tuple[int, int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        msg = f"the client certificate's file {path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    return found.st_ino, found.st_size, found.st_mtime_ns
