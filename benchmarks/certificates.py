"""A certificate for 127.0.0.1 (EC P-256) and its authority, the same files for every server of a scenario."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files: the certificate with its chain, its key, and the authority that clients trust."""

    certificate: Path
    key: Path
    ca: Path


def make_certificates(folder: Path) -> Certificates:
    """Write all three into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Certificates(certificate=folder / "server.pem", key=folder / "server.key", ca=folder / "ca.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(files.ca))
    files.key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(files.key))
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(str(files.certificate), append=number > 0)
    return files
