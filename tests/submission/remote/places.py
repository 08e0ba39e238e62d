"""Places that dependencies of tests come from: web servers, good and bad, over folders of their own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import trustme

from staging_protocol.digests import Digest
from tests.conftest import missing
from tests.services.nginx import Nginx, NginxMissing, NginxTls, running_nginx
from tests.submission.conftest import Command, free_port

LOOPBACK: dict[str, Any] = {"networks": {"allow": ["127.0.0.0/8", "::1/128"]}}
"""Egress rules by which tests reach their own servers."""

STATED = b"what the server knows the digest of"


@dataclass(frozen=True, kw_only=True)
class Web:
    """Two nginx, one with a certificate of nobody's authority, and the part of them that is one test's."""

    plain: Nginx
    secure: Nginx
    authority: Path
    folder: str

    @property
    def url(self) -> str:
        return f"{self.plain.url}/{self.folder}"

    @property
    def secure_url(self) -> str:
        return f"{self.secure.url}/{self.folder}"

    @property
    def denied_url(self) -> str:
        return f"{self.plain.url}/denied/{self.folder}"

    @property
    def stating_url(self) -> str:
        """Where `STATED` lies, with its digest."""
        return f"{self.plain.url}/stating/{self.folder}"

    def put(self, name: str, content: bytes) -> str:
        """Serve `content`, on both; return its URL on the plain one."""
        for nginx in (self.plain, self.secure):
            path = nginx.root / self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return f"{self.url}/{name}"

    def requests(self, method: str) -> list[str]:
        """Return the paths of this test that were asked for by `method`."""
        found = [line.split('"')[1].split() for line in self.plain.logged().splitlines()]
        return [path for verb, path, *_ in found if verb == method and f"/{self.folder}/" in path]


@contextmanager
def running_web(folder: Path) -> Iterator[tuple[Nginx, Nginx, Path]]:
    """Run both servers."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    with (folder / "chain.pem").open("wb") as chain:
        chain.writelines(blob.bytes() for blob in certificate.cert_chain_pems)
    plain, secure = folder / "plain", folder / "secure"
    plain.mkdir()
    secure.mkdir()
    stated = Digest.of(STATED).repr_digest
    locations = f"""
      location / {{ }}
      location /denied/ {{ deny all; }}
      location /stating/ {{ rewrite ^/stating(/.*)$ $1 break; add_header Repr-Digest "{stated}"; }}
      location /busy/ {{ return 503; }}
    """
    try:
        with (
            running_nginx(plain, locations=locations) as one,
            running_nginx(secure, tls=NginxTls(folder / "chain.pem", folder / "key.pem")) as other,
        ):
            yield one, other, folder / "ca.pem"
    except NginxMissing as error:
        missing(str(error))


def web_of(running: tuple[Nginx, Nginx, Path]) -> Web:
    """Return the part of one test."""
    plain, secure, authority = running
    return Web(plain=plain, secure=secure, authority=authority, folder=uuid4().hex)


def reaches_loopback(command: Command, **settings: Any) -> None:
    """Give the command a `sources.json` by which it reaches these servers."""
    command.file("sources.json", json.dumps({"egress": LOOPBACK, **settings}))
    command.environment["SPARK_STAGING_SOURCES"] = str(command.folder / "sources.json")


def unreachable_url() -> str:
    """Return the URL of a server that is not there."""
    return f"http://127.0.0.1:{free_port()}"
