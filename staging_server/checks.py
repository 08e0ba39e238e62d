"""What `spark-staging-server check` looks at before anything is started; nothing is changed."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from staging_protocol.errors import StagingError
from staging_server.access_tokens import read_tokens
from staging_server.auth.own_rights import missing_rights
from staging_server.connections.tls import check_tls
from staging_server.metadata.store import database_file
from staging_server.parts import pod_endpoint
from staging_server.serving import check_settings
from staging_server.settings import Connect, Settings
from staging_server.sizes import human_size

_ROOM: Final = 1024 * 1024 * 1024
"""Bytes that should be free: less is gone with the first bigger upload."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer; `fix` is None when all is well."""

    name: str
    text: str
    fix: str | None = None


def run_checks(settings: Settings) -> Iterator[Finding]:
    """Yield what was found, one check at a time.  Waits for the disk."""
    for name, check in _CHECKS.items():
        try:
            yield check(settings)
        except StagingError as error:
            yield Finding(name, "not usable", fix=error.detail)


def _address(settings: Settings) -> Finding:
    check_settings(settings)
    check_tls(settings.tls)
    pod_endpoint(settings)
    return Finding("address", f"{settings.host} port {settings.port}, auth.mode={settings.auth.mode}")


def _tokens(settings: Settings) -> Finding:
    path = settings.auth.tokens_file
    if path is None:
        return Finding("tokens", "not used")
    now = datetime.now(UTC)
    live = sum(not entry.has_expired(now=now) for entry in read_tokens(path).tokens)
    if live == 0:
        return Finding("tokens", f"{path} has no valid token", fix="make one with `spark-staging-server tokens create`")
    return Finding("tokens", f"{live} valid in {path}")


def _kubernetes(settings: Settings) -> Finding:
    connect = settings.kubernetes.connect
    if connect is Connect.NO:
        return Finding("kubernetes", "not used")
    missing = missing_rights(settings)
    if missing:
        listed = ", ".join(map(str, missing))
        return Finding("kubernetes", f"{connect}: may not {listed}", fix="apply deploy/kustomize/server-rights")
    return Finding("kubernetes", f"{connect}: answers, and the server has its rights")


def _folder(settings: Settings) -> Finding:
    folder = settings.storage.folder
    nearest = folder if folder.exists() else folder.absolute().parent
    if folder.exists() and not folder.is_dir():
        return Finding("folder", f"{folder} is no folder", fix="set storage.folder to a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding("folder", f"{nearest} is not writable or does not exist", fix="make it, or set storage.folder")
    return Finding("folder", str(folder) + ("" if folder.exists() else " (is made at the first start)"))


def _space(settings: Settings) -> Finding:
    folder = settings.storage.folder
    try:
        disk = shutil.disk_usage(folder if folder.exists() else folder.absolute().parent)
    except OSError as error:
        return Finding("space", f"unknown: {error.strerror}", fix="set storage.folder to a folder that exists")
    text = f"{human_size(disk.free)} of {human_size(disk.total)} free"
    left = disk.free - (1 - settings.limits.disk_high_water) * disk.total
    if left < _ROOM:
        share = f"{settings.limits.disk_high_water:.0%}"
        return Finding("space", text, fix=f"free some: above {share} of the disk uploads are refused")
    return Finding("space", text)


def _database(settings: Settings) -> Finding:
    file = database_file(settings.storage)
    if file is None:
        return Finding("database", "PostgreSQL; `migrate` shows whether it answers")
    if not file.exists():
        return Finding("database", f"{file} (is made at the first start)")
    if not os.access(file, os.R_OK | os.W_OK):
        return Finding("database", f"{file} is not writable", fix="give it to the user that runs the server")
    return Finding("database", str(file))


_CHECKS: Final[dict[str, Callable[[Settings], Finding]]] = {
    "address": _address,
    "tokens": _tokens,
    "kubernetes": _kubernetes,
    "folder": _folder,
    "space": _space,
    "database": _database,
}
