"""Who the submitter is to Kubernetes: what kubectl would take, which is a kubeconfig, else the identity of the own pod.

The library reads kubeconfigs and runs their login programs (`exec`).  What stands in a kubeconfig may be a token, so an
error about one never repeats it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from staging_io.logs import redact
from staging_protocol.errors import InvalidRequest

_USUAL_KUBECONFIG: Final = "~/.kube/config"
"""Where kubectl looks without KUBECONFIG, or with an empty one."""

_PAST_PROXIES: Final = "localhost,127.0.0.0/8,::1"
"""As with kubectl and spark-submit, a cluster on this machine (kind, minikube) is not asked through HTTPS_PROXY."""

_TOKEN: Final = "BearerToken"  # noqa: S105 - a name
_OLD_TOKEN: Final = "authorization"  # noqa: S105 - a name, which the identity of a pod uses
_SCHEME: Final = "bearer "


def load_identity(*, kubeconfig: str | None, context: str | None) -> Any:
    """Return the library's settings: address, authorities and identity.

    Args:
        kubeconfig: file or files, as KUBECONFIG has them; None or empty for the usual one.  Where there is none, the
            identity of the pod is taken.
        context: of the kubeconfig; None for the current one.

    Raises:
        InvalidRequest: there is no usable kubeconfig.
    """
    from kubernetes import client

    settings = client.Configuration()
    settings.no_proxy = f"{settings.no_proxy or ''},{_PAST_PROXIES}"
    settings.retries = False
    names = kubeconfig or _USUAL_KUBECONFIG
    is_there = any(Path(name).expanduser().exists() for name in names.split(":") if name)
    if context is not None or is_there or not _load_own_identity(settings):
        _load_kubeconfig(settings, names=names, context=context)
    return settings


def at_address(address: str, *, identity: Any) -> Any:
    """Return settings with this address, whatever the kubeconfig says.

    With a token, the library reads the identity anew before each call, and its address with it; so that happens on a
    copy, of which only the token is taken.
    """
    settings = deepcopy(identity)
    settings.host = address

    def refresh(settings: Any) -> None:
        identity.refresh_api_key_hook(identity)
        settings.api_key = identity.api_key

    settings.refresh_api_key_hook = refresh if identity.refresh_api_key_hook else None
    return settings


def token_of(identity: Any) -> str | None:
    """Return the token that the identity has now; one that has expired is renewed, where it names how."""
    with _heard():
        value = str(identity.get_api_key_with_prefix(_TOKEN, _OLD_TOKEN) or "")
    if not value.lower().startswith(_SCHEME):
        return None
    return value[len(_SCHEME) :].strip() or None


def has_certificate(identity: Any) -> bool:
    """Tell whether the identity is, or has, a client certificate."""
    return identity.cert_file is not None


def _load_kubeconfig(settings: Any, *, names: str, context: str | None) -> None:
    from kubernetes import config
    from yaml import YAMLError

    try:
        with _heard() as said:
            config.load_kube_config(  # type: ignore[no-untyped-call] # the library has no types
                config_file=names, context=context, client_configuration=settings
            )
    # The last four: what the library says of a file that is YAML, but no kubeconfig.
    except (config.ConfigException, YAMLError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        msg = f"no kubeconfig can be used: {_without_values(error)}"
        # Not `from error`: its text may hold a token, and a traceback would show it.
        raise InvalidRequest(msg) from None
    if said and not settings.api_key and not has_certificate(settings):
        msg = f"the login program that the kubeconfig names does not work: {redact('; '.join(said))}"
        raise InvalidRequest(msg)


def _load_own_identity(settings: Any) -> bool:
    """Take the identity of the pod in which this program runs; return False outside a pod."""
    from kubernetes import config

    try:
        config.load_incluster_config(  # type: ignore[no-untyped-call] # the library has no types
            client_configuration=settings
        )
    except config.ConfigException:
        return False
    return True


def _without_values(error: Exception) -> str:
    """Return what is wrong with a kubeconfig, without what stands in it: that may be a token."""
    from kubernetes.config import ConfigException

    if isinstance(error, ConfigException):
        # It writes a malformed entry whole behind the path of the file: `…/config/{'name': …, 'token': …}`.
        return str(error).partition("/{")[0]
    if isinstance(error, OSError):
        return str(error)
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1} of {mark.name})" if mark else ""
    return f"it is malformed{where}; does `kubectl config view` read it?"


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Hear what the library logs: it goes on without an identity where a login program fails, and only says so."""
    root, ears = logging.getLogger(), _Ears()
    root.addHandler(ears)
    try:
        yield ears.said
    finally:
        root.removeHandler(ears)


class _Ears(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
