"""The HTTP clients of one API server: one for each patience and certificate, each with its own kept connections."""

import socket
import ssl
import warnings
from collections.abc import Mapping
from functools import partial
from threading import Lock
from typing import Any
from urllib.parse import SplitResult

from staging_io.http import HttpClient, HttpSettings
from staging_protocol.errors import InvalidRequest
from submission.kube.endpoint import Endpoint

_PAST_PROXIES = ("127.0.0.0/8",)
"""As with kubectl and spark-submit, a cluster on this machine (kind, minikube) is not asked through HTTPS_PROXY."""


class Clients:
    """Opens them when they are first needed; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint, *, proxies: Mapping[str, str], no_proxy: tuple[str, ...]) -> None:
        """`proxies` by scheme, and `no_proxy`, are those of the environment."""
        self._endpoint = endpoint
        self._proxies = proxies
        self._no_proxy = (*no_proxy, *_PAST_PROXIES)
        if endpoint.proxy is not None:
            self._proxies, self._no_proxy = dict.fromkeys(("http", "https"), endpoint.proxy), ()
        self._lock = Lock()
        self._contexts: dict[bytes | None, ssl.SSLContext] = {}
        self._clients: dict[tuple[float, bytes | None], HttpClient] = {}

    def of(self, *, silence: float, certificate: bytes | None) -> HttpClient:
        """Return the client that gives an API server up after `silence` seconds, and shows `certificate`."""
        with self._lock:
            key = (silence, certificate)
            if key not in self._clients:
                self._clients[key] = HttpClient(
                    HttpSettings(
                        stall_timeout=silence,
                        proxies=self._proxies,
                        no_proxy=self._no_proxy,
                        tls=partial(self._context, certificate),
                    )
                )
            return self._clients[key]

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()

    def _context(self, certificate: bytes | None, _url: SplitResult) -> ssl.SSLContext:
        with self._lock:
            if certificate not in self._contexts:
                self._contexts[certificate] = context_for(self._endpoint, certificate=certificate)
            return self._contexts[certificate]


def context_for(endpoint: Endpoint, *, certificate: bytes | None) -> ssl.SSLContext:
    """Return the TLS context for an API server.

    Raises:
        InvalidRequest: authority or certificate are not PEM.
    """
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = endpoint.server_name
    # Python 3.13 asks for extensions that many a cluster's own authority lacks; kubectl does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not endpoint.verifies:
        # The person has said so in the kubeconfig; behind a proxy urllib3 would complain at every request.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif endpoint.authority is None:
        context.load_default_certs()
    else:
        _trust(context, endpoint.authority)
    if certificate is not None:
        _show(context, certificate)
    return context


class _Named(ssl.SSLContext):
    """Expects the server to have another name than that of its address."""

    server_name: str | None = None

    def wrap_socket(  # type: ignore[override] # as our HTTP and urllib3 call it
        self, sock: socket.socket, *, server_hostname: str | None = None, **options: Any
    ) -> ssl.SSLSocket:
        """Shake hands."""
        return super().wrap_socket(sock, server_hostname=self.server_name or server_hostname, **options)


def _trust(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(cadata=authority)
    except ssl.SSLError as error:
        msg = "the certificate-authority of the kubeconfig holds no certificates (PEM)"
        raise InvalidRequest(msg) from error


def _show(context: ssl.SSLContext, certificate: bytes) -> None:
    from tempfile import NamedTemporaryFile  # 6 ms, and most have a token

    # `ssl` takes a key from a file only.  This one is ours alone (0600), and gone at once.
    with NamedTemporaryFile(prefix="spark-staging-") as file:
        file.write(certificate)
        file.flush()
        try:
            # An empty password: nobody is there to be asked for one.
            context.load_cert_chain(file.name, password="")
        except (ssl.SSLError, ValueError) as error:
            msg = "the client certificate of the kubeconfig, or its key, cannot be used (PEM, without a password)"
            raise InvalidRequest(msg) from error
