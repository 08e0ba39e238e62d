"""Checks of this machine: settings, libraries, the cache folder and proxies."""

import platform
import re
import shutil
import tempfile
from importlib import metadata
from typing import Final

from submission.doctor.findings import Finding, fail, ok, warn
from submission.doctor.setup import Setup

_BOUND: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*>=(?P<least>[0-9.]+)")
_EXTRA: Final = re.compile(r"extra == ['\"](?P<name>\w+)['\"]")
_LEAST_FREE: Final = 64 * 1024 * 1024
"""Bytes: digests of 100,000 files take 20 MB."""
_SAMPLE: Final = 64 * 1024


def settings(setup: Setup) -> Finding:
    """Are the settings good?"""
    from submission.settings import config_file

    if setup.given.settings_error is not None:
        return fail(setup.given.settings_error.detail)
    return ok(f"read from flags, the environment{f' and {file}' if (file := config_file()) else ''}")


def libraries(_setup: Setup) -> Finding:
    """Are Python and the libraries as new as they have to be?"""
    wrong = [text for text in map(_complaint, metadata.requires("spark-staging") or []) if text]
    if wrong:
        return fail("; ".join(wrong))
    return ok(f"Python {platform.python_version()}, spark-staging {metadata.version('spark-staging')}")


def cache_folder(setup: Setup) -> Finding:
    """Can digests and the state of uploads be kept?"""
    folder = setup.settings.cache_folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_SAMPLE))
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return warn(f"nothing can be written into {folder}: {error.strerror}; every submit hashes all files again")
    if free < _LEAST_FREE:
        return warn(f"the disk of {folder} is nearly full: {free // 2**20} MiB are free")
    return ok(f"{folder}, {_in_words(free)} free")


def proxies_on_the_way(setup: Setup) -> Finding:
    """Does a proxy stand where there should be none?"""
    server, cluster = setup.server, setup.cluster_if_known
    if cluster is not None and cluster.proxy and _is_private(cluster.host):
        return warn(f"the API server {cluster.host} is asked{cluster.way}, which is near", fix=_around(cluster.host))
    if server.proxy and _is_private(server.host):
        return warn(f"the staging server {server.host} is asked{server.way}, which is near", fix=_around(server.host))
    ways = [f"{one.words}{one.way}" for one in (server, cluster) if one is not None and one.proxy]
    return ok(", ".join(ways) or "none is used")


def version_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (1, 2, 3) of `1.2.3rc1`."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def _complaint(requirement: str) -> str | None:
    """Return what is wrong about a library that the client needs."""
    extra = _EXTRA.search(requirement)
    bound = _BOUND.match(requirement)
    if bound is None or (extra is not None and extra["name"] != "submit"):
        return None
    try:
        there = metadata.version(bound["name"])
    except metadata.PackageNotFoundError:
        return f"{bound['name']} is not installed"
    if version_numbers(there) < version_numbers(bound["least"]):
        return f"{bound['name']} is {there}, and has to be {bound['least']} or newer"
    return None


def _is_private(host: str) -> bool:
    """Whether a host is one that proxies to the outside rarely reach."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_private
    except ValueError:
        return host.endswith((".svc", ".svc.cluster.local", ".internal")) or "." not in host


def _around(host: str) -> str:
    return f"add {host} to NO_PROXY"


def _in_words(size: int) -> str:
    return f"{size // 2**30} GiB" if size >= 2**30 else f"{size // 2**20} MiB"
