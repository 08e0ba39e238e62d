"""The class that a jar's own manifest names, as spark-submit finds it without `--class`."""

import zipfile
from contextlib import suppress

from staging_protocol.errors import InvalidRequest
from staging_protocol.uris import Locality
from submission.classify import Dependency


def main_class_of(main: Dependency) -> str:
    """Return the main class of a jar on this machine.

    Raises:
        InvalidRequest: it cannot be read from here, or names none.
    """
    if main.locality is not Locality.SUBMITTER_LOCAL:
        msg = f"the main class of {main.uri} cannot be read from here; give --class"
        raise InvalidRequest(msg)
    path = main.uri.local_path
    with suppress(OSError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(path) as jar:
        for line in jar.read("META-INF/MANIFEST.MF").decode(errors="replace").replace("\r\n ", "").splitlines():
            name, _, value = line.partition(":")
            if name == "Main-Class":
                return value.strip()
    msg = f"{path} names no Main-Class; give --class"
    raise InvalidRequest(msg)
