"""Files of the submitter that go into the driver's ConfigMaps and Secrets: configuration, and credentials.

Of a folder those count that `KubernetesClientUtils` takes: text in UTF-8, no templates, no properties of Spark's own,
smallest first, as many as fit into a ConfigMap.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.uris import DependencyUri, Locality

_MAX_SIZE: Final = "spark.kubernetes.configMap.maxSize"
_USUAL_SIZE: Final = 1024 * 1024
_BINARY: Final = re.compile(r".*\.(gz|zip|jar|tar)")
_LEFT_OUT: Final = re.compile(r".*\.template|spark.*(conf|properties)")
_CREDENTIALS: Final = "spark.kubernetes.authenticate.driver."
_CREDENTIAL_FILES: Final = {
    "caCertFile": "ca-cert",
    "clientKeyFile": "client-key",
    "clientCertFile": "client-cert",
    "oauthTokenFile": "oauth-token",
}
"""Keys of the driver's Secret (`DriverKubernetesCredentialsFeatureStep`) by the property that names the file."""


def text_files(folder: Path | None, *, properties: Mapping[str, str]) -> dict[str, str]:
    """Return the text files of a folder of configuration; none of one that is not there.

    Raises:
        InvalidRequest: a file cannot be read.
    """
    if folder is None or not folder.is_dir():
        return {}
    limit = _limit(properties)
    found: dict[str, str] = {}
    taken = 0
    for path in sorted(folder.iterdir(), key=lambda one: (len(one.name) + _size(one), one.name)):
        if not path.is_file() or _BINARY.fullmatch(path.name) or _LEFT_OUT.fullmatch(path.name):
            continue
        text = _text(path, limit=limit)
        if text is not None and taken + len(path.name) + len(text) < limit:
            found[path.name] = text
            taken += len(path.name) + len(text)
    return found


def credentials(properties: Mapping[str, str]) -> dict[str, bytes]:
    """Return what `spark.kubernetes.authenticate.driver.*` names, by key of the driver's Secret.

    Raises:
        NotFound, InvalidRequest: a file cannot be read.
    """
    found = {
        key: file_bytes(named, by=f"{_CREDENTIALS}{name}")
        for name, key in _CREDENTIAL_FILES.items()
        if (named := properties.get(f"{_CREDENTIALS}{name}"))
    }
    token = properties.get(f"{_CREDENTIALS}oauthToken")
    return {**found, "oauth-token": token.encode()} if token else found


def file_text(named: str, *, by: str) -> str:
    """Return the text of a file that the property `by` names.

    Raises:
        NotFound, InvalidRequest: it cannot be read.
    """
    try:
        return file_bytes(named, by=by).decode()
    except UnicodeDecodeError as error:
        msg = f"{named} ({by}) is not text in UTF-8"
        raise InvalidRequest(msg) from error


def _limit(properties: Mapping[str, str]) -> int:
    text = properties.get(_MAX_SIZE, str(_USUAL_SIZE))
    if not text.strip().isdecimal():
        msg = f"{_MAX_SIZE} is a number of bytes, not {text!r}"
        raise InvalidRequest(msg)
    return int(text)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _text(path: Path, *, limit: int) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if _size(path) + len(path.name) <= limit else None
    except UnicodeDecodeError:
        return None  # as stock Spark leaves it out
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error


def yaml_object(named: str, *, by: str) -> dict[str, Any]:
    """Return the object in a YAML file that the property `by` names.

    Raises:
        NotFound, InvalidRequest: it cannot be read.
    """
    import yaml

    try:
        content = yaml.safe_load(file_text(named, by=by))
    except yaml.YAMLError as error:
        msg = f"{named} ({by}) is not YAML: {error}"
        raise InvalidRequest(msg) from error
    if not isinstance(content, dict):
        msg = f"{named} ({by}) holds no object"
        raise InvalidRequest(msg)
    return content


def in_image(named: str) -> bool:
    """Whether a property names a file of the image."""
    return DependencyUri.parse(named).locality is Locality.CONTAINER_LOCAL


def file_bytes(named: str, *, by: str) -> bytes:
    """Return the bytes of a file that the property `by` names.

    Raises:
        NotFound, InvalidRequest: it cannot be read.
    """
    uri = DependencyUri.parse(named)
    if uri.locality is not Locality.SUBMITTER_LOCAL:
        msg = f"{uri} ({by}) is not on this machine; copy it here, and name the copy"
        raise InvalidRequest(msg)
    try:
        return Path(uri.local_path).read_bytes()
    except FileNotFoundError as error:
        msg = f"{named} ({by}) does not exist"
        raise NotFound(msg) from error
    except OSError as error:
        msg = f"{named} ({by}) cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
