"""AWS's services that no real server stands for, in this process.

    POST /  (host sts.…)                     keys for a role, for a web identity's token
    GET  /container                          keys for a container
    GET, PUT /latest/…                       the metadata server of a machine
    everything else                          S3, answered by `answers`, in order; then 404

`asked` notes each request; with an authority it speaks TLS, and stands for any host that a proxy leads to it.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import trustme

ROLE = "arn:aws:iam::123456789012:role/jobs"
WEB_TOKEN = "a-web-identity-token"
CONTAINER_TOKEN = "a-container-token"
METADATA_TOKEN = "a-metadata-token"


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    host: str
    path: str
    headers: Mapping[str, str]

    @property
    def key(self) -> str | None:
        """The id of the access key that signed it."""
        _, found, rest = self.headers.get("authorization", "").partition("Credential=")
        return rest.partition("/")[0] if found else None

    @property
    def region(self) -> str:
        """The region that it was signed for."""
        return self.headers["authorization"].partition("Credential=")[2].split("/")[2]


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(
    code: str, *, status: int, message: str = "no", headers: Mapping[str, str] | None = None, **more: str
) -> Reply:
    """Return how S3 refuses."""
    fields = {"Code": code, "Message": message, **more}
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'
    return Reply(status, document.encode(), {"Content-Type": "application/xml", **(headers or {})})


class FakeAws:
    """The services; set its attributes to have it answer otherwise."""

    def __init__(self, authority: trustme.CA | None = None, *names: str) -> None:
        self.answers: list[Reply] = []
        self.asked: list[Asked] = []
        self.key = "ASIATESTTESTTESTTEST"
        self.lifetime = timedelta(hours=1)
        self.refusals: list[Reply] = []
        """For whoever asks for keys, before they are given."""
        self.before_answer: Callable[[], object] = lambda: None
        """Called before S3 answers."""
        handler = type("BoundHandler", (_Handler,), {"aws": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if authority is not None:
            context = SSLContext(PROTOCOL_TLS_SERVER)
            authority.issue_cert(*names, "127.0.0.1").configure_cert(context)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )  # fmt: skip
        self._scheme = "http" if authority is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def of_s3(self) -> list[Asked]:
        """Return the requests that S3 got."""
        return [
            one for one in self.asked if not one.path.startswith(("/latest/", "/container")) and "sts." not in one.host
        ]

    def fields(self) -> dict[str, str]:
        """Return keys as the services for containers and machines give them."""
        ends = datetime.now(UTC) + self.lifetime
        return {
            "AccessKeyId": self.key, "SecretAccessKey": "a-very-secret-key", "Token": "a-session-token",
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "Code": "Success",
        }  # fmt: skip

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _v: BaseException | None, _tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    aws: FakeAws
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.note()
        path = self.path.partition("?")[0]
        if path == "/container":
            self.give(json.dumps(self.aws.fields()), allowed=self.headers.get("Authorization") == CONTAINER_TOKEN)
        elif path.startswith("/latest/meta-data/"):
            body = json.dumps(self.aws.fields()) if path.endswith("/machine") else "machine"
            self.give(body, allowed=self.headers.get("X-aws-ec2-metadata-token") == METADATA_TOKEN)
        else:
            self.aws.before_answer()
            self.reply(self.aws.answers.pop(0) if self.aws.answers else error("NoSuchKey", status=404))

    do_HEAD = do_GET  # noqa: N815 - the name is given

    def do_PUT(self) -> None:
        self.note()
        self.give(METADATA_TOKEN, allowed=True)

    def do_POST(self) -> None:
        self.note()
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.give(_assumed(self.aws.fields()), allowed=form.get("WebIdentityToken") == [WEB_TOKEN])

    def note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.aws.asked.append(
            Asked(method=self.command, host=self.headers.get("Host", ""), path=self.path, headers=headers)
        )  # fmt: skip

    def give(self, body: str, *, allowed: bool) -> None:
        if self.aws.refusals:
            self.reply(self.aws.refusals.pop(0))
        elif allowed:
            self.reply(Reply(body=body.encode()))
        else:
            self.reply(Reply(403, _REFUSED))

    def reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is given
        """Be quiet."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError, TimeoutError, OSError):
            self.close_connection = True


_REFUSED = (
    b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
    b"<Code>InvalidIdentityToken</Code><Message>the token is not accepted</Message></Error></ErrorResponse>"
)


def _assumed(fields: Mapping[str, str]) -> str:
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials>"
        f"<AccessKeyId>{fields['AccessKeyId']}</AccessKeyId><SecretAccessKey>{fields['SecretAccessKey']}</SecretAccessKey>"
        f"<SessionToken>{fields['Token']}</SessionToken><Expiration>{fields['Expiration']}</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
