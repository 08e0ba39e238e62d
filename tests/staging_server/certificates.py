"""Certificates for tests, laid out as files and as Kubernetes mounts a Secret."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

HOST = "127.0.0.1"


class MountedPair:
    """A folder with `tls.crt` and `tls.key` as the kubelet keeps it: links through `..data`, swapped in one step."""

    def __init__(self, folder: Path, *, authority: trustme.CA) -> None:
        self.folder = folder
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self._authority = authority
        self._count = 0
        folder.mkdir()
        self.replace()
        for path in (self.certificate, self.key):
            path.symlink_to(f"..data/{path.name}")

    def replace(self, *, lasts: timedelta = timedelta(days=90)) -> int:
        """Put a new pair there, and return the serial number of its certificate."""
        self._count += 1
        version = self.folder / f"..version_{self._count}"
        version.mkdir()
        serial = write_pair(version / "tls.crt", version / "tls.key", authority=self._authority, lasts=lasts)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        os.rename(link, self.folder / "..data")  # noqa: PTH104 - what the kubelet does
        return serial

    @property
    def settings(self) -> dict[str, object]:
        """The group `tls` of the server's settings."""
        return {"certificate_file": self.certificate, "key_file": self.key, "reload_every": 0.05}


def write_pair(
    certificate: Path,
    key: Path,
    *,
    authority: trustme.CA,
    host: str = HOST,
    lasts: timedelta = timedelta(days=90),
) -> int:
    """Write a pair for `host`, which ends in `lasts` (the past, when negative); return its serial number."""
    now = datetime.now(UTC)
    issued = authority.issue_cert(host, not_before=now - timedelta(days=400), not_after=now + lasts)
    issued.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return serial_of(certificate)


def serial_of(certificate: Path) -> int:
    """Return the serial number of the first certificate of a PEM file."""
    decoded = ssl._ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined] # a test may; the server reads DER
    return int(decoded["serialNumber"], 16)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return a client's context that trusts `authority` only."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
