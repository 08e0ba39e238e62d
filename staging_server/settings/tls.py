"""The certificate that the server shows."""

from pathlib import Path

from staging_server.settings.group import Group, Seconds


class TlsSettings(Group):
    """The server's own certificate; without both files it speaks plain HTTP."""

    certificate_file: Path | None = None
    """PEM file of the certificate and its chain."""

    key_file: Path | None = None
    """PEM file of the private key."""

    reload_every: Seconds = 10.0
    """Time between two looks at whether the files have changed.  New connections get the new certificate, running ones
    go on; a pair that does not fit together is not taken, and looked at again."""
