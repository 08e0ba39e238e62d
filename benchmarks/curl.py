"""curl as the client of both sides; URLs and tokens go into a file, because arguments are for everyone to see."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

_QUIET = ("curl", "--disable", "--silent", "--show-error", "--fail", "--noproxy", "*")


class CurlMissing(Exception):
    """There is no curl."""


def check_curl() -> None:
    """Raise CurlMissing when curl is not on PATH."""
    if shutil.which("curl") is None:
        msg = "curl is not on PATH; the benchmarks compare with it and measure servers through it: install it"
        raise CurlMissing(msg)


def get(url: str, *, headers: Mapping[str, str], settings: Path) -> list[str]:
    """Return the command that reads `url` and throws the bytes away."""
    _write(settings, headers=headers, lines=[f'url = "{url}"', 'output = "/dev/null"'])
    return [*_QUIET, "--config", str(settings)]


def put(url: str, *, file: Path, headers: Mapping[str, str], settings: Path) -> list[str]:
    """Return the command that uploads `file` to `url`."""
    _write(settings, headers=headers, lines=[f'url = "{url}"', f'upload-file = "{file}"', 'output = "/dev/null"'])
    return [*_QUIET, "--config", str(settings)]


def get_all(targets: Iterable[tuple[str, str]], *, headers: Mapping[str, str], settings: Path) -> list[str]:
    """Return the command that reads URLs into files of the working folder, 50 at a time as is curl's default."""
    lines = [line for url, name in targets for line in (f'url = "{url}"', f'output = "{name}"')]
    _write(settings, headers=headers, lines=lines)
    return [*_QUIET, "--parallel", "--config", str(settings)]


def _write(settings: Path, *, headers: Mapping[str, str], lines: list[str]) -> None:
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.touch(mode=0o600)
    settings.write_text("\n".join([*(f'header = "{name}: {value}"' for name, value in headers.items()), *lines, ""]))
