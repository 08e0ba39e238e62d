"""curl as the client of both sides; URLs and tokens go into a file, because arguments are for everyone to see."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

_TLS = ("--tlsv1.3", "--tls13-ciphers", "TLS_AES_256_GCM_SHA384")
"""The same version and cipher with every server; it is also what both choose when they are let."""

_QUIET = ("curl", "--disable", "--silent", "--show-error", "--fail", "--noproxy", "*")


class CurlMissing(Exception):
    """There is no curl."""


def check_curl() -> None:
    """Raise CurlMissing when curl is not on PATH."""
    if shutil.which("curl") is None:
        msg = "curl is not on PATH; the benchmarks compare with it and measure servers through it: install it"
        raise CurlMissing(msg)


def get(url: str, *, headers: Mapping[str, str], settings: Path, ca: Path | None = None) -> list[str]:
    """Return the command that reads `url` and throws the bytes away; `ca` is the authority of a server with TLS."""
    return get_all([(url, "/dev/null")], headers=headers, settings=settings, ca=ca)


def put(url: str, *, file: Path, headers: Mapping[str, str], settings: Path, ca: Path | None = None) -> list[str]:
    """Return the command that uploads `file` to `url`."""
    return put_all([(file, url)], headers=headers, settings=settings, ca=ca)


def get_all(
    targets: Sequence[tuple[str, str]], *, headers: Mapping[str, str], settings: Path, ca: Path | None = None
) -> list[str]:
    """Return the command that reads URLs into files of the working folder, 50 at a time as is curl's default."""
    lines = [line for url, name in targets for line in (f'url = "{url}"', f'output = "{name}"')]
    return _command(lines, headers=headers, settings=settings, ca=ca, parallel=len(targets) > 1)


def put_all(
    targets: Sequence[tuple[Path, str]], *, headers: Mapping[str, str], settings: Path, ca: Path | None = None
) -> list[str]:
    """Return the command that uploads files to URLs, 50 at a time."""
    lines = [
        line for file, url in targets for line in (f'upload-file = "{file}"', f'url = "{url}"', 'output = "/dev/null"')
    ]
    return _command(lines, headers=headers, settings=settings, ca=ca, parallel=len(targets) > 1)


def _command(
    lines: list[str], *, headers: Mapping[str, str], settings: Path, ca: Path | None, parallel: bool
) -> list[str]:
    _write(settings, headers=headers, lines=lines)
    trust = [*_TLS, "--cacert", str(ca)] if ca is not None else []
    return [*_QUIET, *(["--parallel"] if parallel else []), *trust, "--config", str(settings)]


def _write(settings: Path, *, headers: Mapping[str, str], lines: list[str]) -> None:
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.touch(mode=0o600)
    settings.write_text("\n".join([*(f'header = "{name}: {value}"' for name, value in headers.items()), *lines, ""]))
