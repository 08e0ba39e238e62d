"""Is a server reached: has its name an address, does something listen there, and is it the right one (TLS)?

name → connection (of a proxy, if one is on the way, and through it) → handshake → certificate
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from staging_io.exchange import authority_of
from staging_io.http import goes_in_clear_text
from submission.doctor.findings import Finding, fail, ok, warn

_SOON: Final = 7 * 24 * 3600.0
"""Seconds before the end of a certificate in which somebody should know of it."""

# X509_V_ERR_… of OpenSSL (x509_vfy.h).
_NOT_YET, _EXPIRED = 9, 10
_NAMES: Final = frozenset({62, 63, 64})
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server that shall be reached.

    Attributes:
        words: what it is.
        url: where it is.
        named_by: where that is written.
        proxy: URL of the proxy on the way; None: there is none.
        context: gives how its certificate is judged.
        trust: what to do where its authority is not known.
        takes_clear_text: whether a person allowed tokens over plain HTTP.
    """

    words: str
    url: SplitResult
    named_by: str
    proxy: str | None
    context: Callable[[], ssl.SSLContext]
    trust: str
    takes_clear_text: bool = False

    @property
    def host(self) -> str:
        """Its host."""
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        return int(authority_of(self.url).rpartition(":")[2])

    @property
    def next_hop(self) -> tuple[str, int, str]:
        """Host and port of what we connect to, and where that is written."""
        if self.proxy is None:
            return self.host, self.port, self.named_by
        way = urlsplit(self.proxy)
        return way.hostname or "", way.port or 80, "the settings of the proxy (HTTPS_PROXY, HTTP_PROXY, proxy-url)"

    @property
    def way(self) -> str:
        """How it is reached, in words."""
        host, port, _ = self.next_hop
        return "" if self.proxy is None else f" through the proxy {host}:{port}"


def find_address(target: Target) -> Finding:
    """Look the name up; with a proxy on the way, that of the proxy."""
    host, port, named_by = target.next_hop
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no name of a host"
        return fail(
            f"{host} has no address: {why}",
            fix=f"correct the host name in {named_by}; names of Services (….svc) are known inside the cluster only: "
            "from outside take the name of an Ingress, or kubectl port-forward",
        )
    addresses = sorted({str(one[4][0]) for one in found})
    words = f"{host}{' (the proxy)' if target.proxy else ''}"
    return ok(f"{words} is an address" if addresses == [host] else f"{words} is {', '.join(addresses)}")


def connect(target: Target, *, seconds: float) -> Finding:
    """Open a connection, and close it."""
    host, port, named_by = target.next_hop
    try:
        with closing(_connection(target, seconds=seconds)):
            return ok(f"{target.host}:{target.port} takes connections{target.way}")
    except TimeoutError:
        return fail(
            f"{host}:{port} does not answer",
            fix="a firewall, a VPN that is down or a wrong address: let the network's people see whether "
            f"{host}:{port} is open from here",
        )
    except ConnectionRefusedError:
        return fail(
            f"nothing listens at {host}:{port} (connection refused)",
            fix=f"correct the port in {named_by}, or start what shall listen there",
        )
    except (OSError, HTTPException) as error:
        if target.proxy is not None:
            return fail(
                f"the proxy {host}:{port} does not lead to {target.host}: {error}",
                fix=f"add {target.host} to NO_PROXY if it is reached without the proxy, else let the proxy allow it",
            )
        return fail(f"{host}:{port} cannot be reached: {error.strerror if isinstance(error, OSError) else error}")


def shake_hands(target: Target, *, seconds: float) -> Finding:
    """Judge the certificate; without TLS, whether that is meant."""
    if target.url.scheme != "https":
        return _clear_text(target, seconds=seconds)
    try:
        with (
            closing(_connection(target, seconds=seconds)) as connection,
            target.context().wrap_socket(connection.sock, server_hostname=target.host) as secure,
        ):
            return _judged(secure.getpeercert(), version=secure.version() or "TLS")
    except ssl.SSLCertVerificationError as error:
        return _doubted(error, target=target)
    except ssl.SSLError as error:
        return fail(
            f"{target.host}:{target.port} does not speak TLS: {error.reason or error}",
            fix=f"write http:// in {target.named_by} if that is meant, or give {target.words} a certificate",
        )
    except (OSError, HTTPException) as error:
        return fail(
            f"{target.host}:{target.port} ends the connection when it shall speak TLS: {error}",
            fix=f"see whether that is the right port in {target.named_by}, and whether something between cuts TLS off",
        )


def _connection(target: Target, *, seconds: float) -> HTTPConnection:
    """Return an open connection to the target; for https through a proxy, in a tunnel."""
    host, port, _ = target.next_hop
    connection = HTTPConnection(host, port, timeout=seconds)
    if target.proxy is not None and target.url.scheme == "https":
        connection.set_tunnel(target.host, target.port, headers=_shown_to(target.proxy))
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


def _shown_to(proxy: str) -> dict[str, str]:
    from base64 import b64encode

    way = urlsplit(proxy)
    if way.username is None:
        return {}
    pair = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _judged(certificate: object, *, version: str) -> Finding:
    """Return what there is to say about a certificate that holds; an empty one was not looked at."""
    if not isinstance(certificate, dict) or "notAfter" not in certificate:
        return warn(
            f"{version}, but nobody looks at the certificate (insecure-skip-tls-verify)",
            fix="whoever is on the way can pretend to be the cluster: put its authority into the kubeconfig instead",
        )
    left = ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()
    until = str(certificate["notAfter"])
    if left < _SOON:
        return warn(f"{version}; the certificate ends soon, {until}", fix="let its owner renew it before that day")
    return ok(f"{version}; the certificate holds until {until}")


def _doubted(error: ssl.SSLCertVerificationError, *, target: Target) -> Finding:
    found = f"the certificate of {target.host} does not hold: {error.verify_message}"
    if error.verify_code == _EXPIRED:
        return fail(found, fix=f"let whoever runs {target.words} renew its certificate; see also: date -u")
    if error.verify_code == _NOT_YET:
        return fail(found, fix="set the clock of this machine (see: date -u), or let them make the certificate anew")
    if error.verify_code in _NAMES:
        return fail(
            found,
            fix=f"write one of its names into {target.named_by}, or have a certificate made for {target.host}",
        )
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return fail(found, fix=target.trust)
    return fail(found, fix=f"let whoever runs {target.words} look at the certificate")


def _clear_text(target: Target, *, seconds: float) -> Finding:
    if target.proxy is None and _speaks_tls(target, seconds=seconds):
        return fail(
            f"{target.host}:{target.port} speaks TLS, and the URL says http://",
            fix=f"write https:// in {target.named_by}",
        )
    if goes_in_clear_text(target.url) and not target.takes_clear_text:
        return fail(
            f"no TLS: tokens would go to {target.host} in clear text",
            fix=f"give {target.words} a certificate and write https:// in {target.named_by}; in a network that you "
            "trust: SPARK_STAGING_ALLOW_PLAIN_HTTP=true",
        )
    where = "another machine, as you allow" if goes_in_clear_text(target.url) else "this machine"
    return ok(f"none is wanted: plain HTTP to {where}")


def _speaks_tls(target: Target, *, seconds: float) -> bool:
    """Whether TLS is spoken where the URL says plain HTTP."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            closing(_connection(target, seconds=min(seconds / 2, 3.0))) as connection,
            context.wrap_socket(connection.sock, server_hostname=target.host),
        ):
            return True
    except (OSError, HTTPException):  # also what is no TLS
        return False
