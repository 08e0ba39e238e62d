"""Credentials that Spark's own properties name, which win over those of the kubeconfig, one by one.

    spark.kubernetes.authenticate.submission.oauthToken, oauthTokenFile        the token
                                             clientCertFile, clientKeyFile     the certificate
                                             caCertFile                        who the API server has to be
    spark.kubernetes.trust.certificates                                        true: whoever it is

As `SparkKubernetesClientFactory` does it; paths are relative to the current folder.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from staging_protocol.errors import InvalidRequest
from submission.kube.endpoint import Endpoint
from submission.kube.identity import User

_PREFIX: Final = "spark.kubernetes.authenticate.submission."
_TRUST_ALL: Final = "spark.kubernetes.trust.certificates"


def names_user(properties: Mapping[str, str]) -> bool:
    """Whether the properties alone say who we are, so that no kubeconfig is needed."""
    return any(properties.get(f"{_PREFIX}{name}") for name in ("oauthToken", "oauthTokenFile", "clientCertFile"))


def endpoint_with(endpoint: Endpoint, properties: Mapping[str, str]) -> Endpoint:
    """Return the API server as the properties say how to know it.

    Raises:
        InvalidRequest: a file cannot be read.
    """
    authority = _file("caCertFile", properties)
    if authority is not None:
        endpoint = replace(endpoint, authority=authority.decode("ascii", "replace"), verifies=True)
    if properties.get(_TRUST_ALL, "").strip().lower() == "true":
        endpoint = replace(endpoint, verifies=False)
    return endpoint


def user_with(user: User | None, properties: Mapping[str, str]) -> User:
    """Return the user with what the properties say; None: there is no other.

    Raises:
        InvalidRequest: a file cannot be read, or a certificate has no key.
    """
    changed = user or User(words="nobody")
    certificate, key = _file("clientCertFile", properties), _file("clientKeyFile", properties)
    if (certificate is None) != (key is None):
        msg = f"{_PREFIX}clientCertFile and {_PREFIX}clientKeyFile are given together, or neither"
        raise InvalidRequest(msg)
    if certificate is not None and key is not None:
        changed = replace(changed, certificate=certificate + b"\n" + key, words=f"the user of {_PREFIX}clientCertFile")
    token, token_file = properties.get(f"{_PREFIX}oauthToken"), properties.get(f"{_PREFIX}oauthTokenFile")
    if not token and not token_file:
        return changed
    return replace(
        changed,
        token=token or None,
        token_file=None if token or not token_file else Path(token_file),
        login=None,
        basic=None,
        words=f"the user of {_PREFIX}{'oauthToken' if token else 'oauthTokenFile'}",
    )


def _file(name: str, properties: Mapping[str, str]) -> bytes | None:
    named = properties.get(f"{_PREFIX}{name}")
    if not named:
        return None
    try:
        return Path(named).read_bytes()
    except OSError as error:
        msg = f"{named} ({_PREFIX}{name}) cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
