"""Where an API server is, and how to know that it is the right one."""

from dataclasses import dataclass, field
from typing import Final

from staging_io.logs import redact
from staging_protocol.errors import InvalidRequest
from submission.kube.kubeconfig import Entry, malformed

_MASTER: Final = "k8s://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An API server.

    Attributes:
        address: URL, without a slash at its end.
        authority: PEM of the authorities that are trusted, and no others; None: those of the system.
        server_name: the name that its certificate has to have; None: that of the address.
        verifies: whether its certificate is looked at.
        proxy: URL of the proxy on the way; None: what HTTPS_PROXY and NO_PROXY say.
        named_by: what names it, for errors.
    """

    address: str
    authority: str | None = None
    server_name: str | None = None
    verifies: bool = True
    proxy: str | None = field(default=None, repr=False)  # with its password
    named_by: str = "the kubeconfig"


def address_of(text: str) -> str:
    """Return the URL that Spark's master (`k8s://…`) or a kubeconfig means; without a scheme it is https.

    Raises:
        InvalidRequest: it is none.
    """
    found = text.strip().removeprefix(_MASTER).rstrip("/")
    address = found if "://" in found else f"https://{found}"
    if not found or not address.startswith(("http://", "https://")) or "@" in address:
        msg = f"{redact(text)!r} is not the address of an API server, as in k8s://https://HOST:PORT"
        raise InvalidRequest(msg)
    return address


def endpoint_of(entry: Entry) -> Endpoint:
    """Return the API server that an entry of a kubeconfig describes.

    Raises:
        InvalidRequest: it describes none.
    """
    server, authority, proxy = entry.text("server"), entry.content("certificate-authority"), entry.text("proxy-url")
    if server is None:
        msg = f"{entry.words} has no `server`; does kubectl work with it?"
        raise InvalidRequest(msg)
    if proxy is not None and not proxy.startswith(("http://", "https://")):
        msg = f"the proxy-url of {entry.words} is not one of http or https; other proxies are not spoken to"
        raise InvalidRequest(msg)
    try:
        text = None if authority is None else authority.decode("ascii")
    except UnicodeDecodeError:
        raise malformed("certificate-authority", of=entry.words) from None
    return Endpoint(
        address=address_of(server),
        authority=text,
        server_name=entry.text("tls-server-name"),
        verifies=not entry.flag("insecure-skip-tls-verify"),
        proxy=proxy,
    )
