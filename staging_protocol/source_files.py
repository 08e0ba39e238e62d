"""`sources.json` as it is read, and the keys of Secrets that its relative credential files are.

    aws-key/credentials    key `credentials` of Secret `aws-key`: in a pod below `pod_contract.SOURCE_SECRETS_FOLDER`,
                           on a submitter's machine beside `sources.json`
    /etc/pki/site.pem      an absolute path: whoever writes it sees to it that the file is there

Nothing else is taken: what a pod would look for in vain is told where `sources.json` is read first.
"""

import re
from collections.abc import Mapping
from typing import Final, NoReturn

from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import SourceSettings, credential_files
from staging_protocol.wire import decode

_MAX_NAME: Final = 253
"""Characters of the name of a Secret, and of a key in it (Kubernetes, `IsDNS1123Subdomain` and `IsConfigMapKey`)."""

_SECRET: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY: Final = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]+")


def read_sources(data: bytes) -> SourceSettings:
    """Read `sources.json`.

    Raises:
        InvalidRequest: it is not understood, or names a file that is neither absolute nor a key of a Secret.
    """
    settings = decode(data, into=SourceSettings)
    secret_keys(settings)
    return settings


def secret_keys(settings: SourceSettings) -> Mapping[str, tuple[str, ...]]:
    """Return the Secrets that relative credential files belong to, each with its keys.

    Raises:
        InvalidRequest: a relative file is no `<secret>/<key>`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in credential_files(settings):
        if not name.startswith("/"):
            secret, key = _split(name)
            found[secret] = (*found.get(secret, ()), key)
    return found


def _split(name: str) -> tuple[str, str]:
    secret, slash, key = name.partition("/")
    if not slash or "/" in key:
        _refuse(name, "has to be of two parts")
    if len(secret) > _MAX_NAME or not _SECRET.fullmatch(secret):
        _refuse(name, f"begins with {secret!r}, which cannot be the name of a Secret")
    if len(key) > _MAX_NAME or key == "." or not _KEY.fullmatch(key):
        _refuse(name, f"ends with {key!r}, which cannot be a key of a Secret")
    return secret, key


def _refuse(name: str, why: str) -> NoReturn:
    msg = (
        f"the credential file {name!r} {why}; write <secret>/<key>, such as aws-key/credentials, "
        "for a key of a Kubernetes Secret, or an absolute path"
    )
    raise InvalidRequest(msg)
