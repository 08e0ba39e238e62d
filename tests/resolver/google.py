"""Google's services for identity, in this process, and a gate before a storage that knows no authentication.

    POST /token                            a token for an assertion that an account's key signed, or a refresh token
    POST /sts, /impersonate                the same for a workload's own token, and for an account that it may be
    GET  /computeMetadata/v1/instance/…    the metadata server
    *    /storage/…                        passed on to `storage` when the token holds, and `refusals` is empty

`public` lets in whoever shows no token.  `asked` notes method and path, with its query, of every request; `shown` the
Authorization of those to the storage.  Files that these identities need are written here too.
"""

import base64
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

ACCOUNT: Final = "jobs@project.iam.gserviceaccount.com"
REFRESH_TOKEN: Final = "a-refresh-token"
SUBJECT_TOKEN: Final = "a-token-of-another-cloud"
SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_only"
TOKEN_AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""For whom assertions are written, wherever they are sent."""
LIFETIME: Final = 3600

Refusal = tuple[int, bytes, Mapping[str, str]]


@cache
def account_key() -> rsa.RSAPrivateKey:
    """Return the key of the account; making one takes a moment."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Google:
    """The services; set its attributes to have it answer otherwise."""

    def __init__(self, storage: str = "") -> None:
        self.storage = storage
        self.public = False
        self.lifetime = LIFETIME
        self.issued: list[str] = []
        self.revoked: set[str] = set()
        self.refusals: list[Refusal] = []
        self.broken: dict[str, Refusal] = {}
        self.asked: list[tuple[str, str]] = []
        self.shown: list[str | None] = []
        self.payers: list[str] = []
        self.claims: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.pool = urllib3.PoolManager(maxsize=8)
        handler = type("BoundHandler", (_Handler,), {"google": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def count(self, beginning: str) -> int:
        """Return how many requests there were to paths that begin so."""
        return sum(path.startswith(beginning) for _, path in self.asked)

    def issue(self) -> str:
        with self.lock:
            self.issued.append(f"ya29.secret-{len(self.issued)}")
            return self.issued[-1]

    def opens(self, authorization: str | None) -> bool:
        token = (authorization or "").removeprefix("Bearer ")
        return self.public if authorization is None else token in self.issued and token not in self.revoked

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __exit__(self, _type: type[BaseException] | None, _v: BaseException | None, _tb: TracebackType | None) -> None:
        self.stop()
        self.pool.clear()


def account_file(path: Path, *, token_url: str, key: rsa.RSAPrivateKey | None = None) -> Path:
    """Write the key file of a service account; `key` is one that Google does not know."""
    pem = (key or account_key()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _written(
        path,
        {
            "type": "service_account", "project_id": "project", "private_key_id": "1", "client_id": "2",
            "client_email": ACCOUNT, "private_key": pem.decode(), "token_uri": token_url,
        },
    )  # fmt: skip


def workload_file(path: Path, *, google: str, impersonates: bool = False) -> Path:
    """Write a file of workload identity federation, whose own token lies beside it."""
    (path.parent / "subject-token").write_text(SUBJECT_TOKEN)
    fields = {
        "type": "external_account", "audience": "//iam.googleapis.com/projects/1/pools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": f"{google}/sts",
        "credential_source": {"file": str(path.parent / "subject-token")},
    }  # fmt: skip
    impersonation = {"service_account_impersonation_url": f"{google}/impersonate/{ACCOUNT}:generateAccessToken"}
    return _written(path, fields | (impersonation if impersonates else {}))


def person_file(path: Path, *, refresh_token: str = REFRESH_TOKEN) -> Path:
    """Write what `gcloud auth application-default login` writes."""
    return _written(
        path,
        {
            "type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": refresh_token,
            "quota_project_id": "payer",
        },
    )  # fmt: skip


def _written(path: Path, fields: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))
    return path


def refusal(status: int, message: str, *, reason: str = "forbidden", **headers: str) -> Refusal:
    """Return an error as the JSON API writes it."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return status, json.dumps({"error": error}).encode(), headers


class _Handler(BaseHTTPRequestHandler):
    google: Google
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # clients leave as they like
            super().handle_one_request()

    def do_GET(self) -> None:
        self._answer("GET", b"")

    def do_POST(self) -> None:
        self._answer("POST", self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, method: str, body: bytes) -> None:
        google = self.google
        google.asked.append((method, self.path))
        path = self.path.partition("?")[0]
        broken = next((one for beginning, one in google.broken.items() if path.startswith(beginning)), None)
        if broken is not None:
            self._send(*broken)
        elif path.startswith("/storage/"):
            self._gate()
        elif path == "/token":
            self._exchange(parse_qs(body.decode()))
        elif path == "/sts" and parse_qs(body.decode())["subject_token"] == [SUBJECT_TOKEN]:
            self._token(token_type="Bearer", issued_token_type="urn:ietf:params:oauth:token-type:access_token")
        elif path == "/sts":
            self._send(400, b'{"error": "invalid_grant", "error_description": "The token is expired."}', {})
        elif path.startswith("/impersonate/") and google.opens(self.headers["Authorization"]):
            end = datetime.now(UTC) + timedelta(seconds=google.lifetime)
            self._json({"accessToken": google.issue(), "expireTime": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
        elif self.headers["Metadata-Flavor"] == "Google" and path.endswith("/service-accounts/default/token"):
            self._token()
        elif self.headers["Metadata-Flavor"] == "Google" and path.endswith("/service-accounts/default/email"):
            self._send(200, ACCOUNT.encode(), {})
        else:
            self._send(404, b"not here", {})

    def _exchange(self, form: Mapping[str, list[str]]) -> None:
        if "assertion" not in form:
            is_known = form["refresh_token"] == [REFRESH_TOKEN]
        else:
            (assertion,) = form["assertion"]
            self.google.claims.append(dict(jwt.decode(assertion, verify=False)))  # type: ignore[no-untyped-call] # it has no types
            is_known = crypt.RSAVerifier(account_key().public_key()).verify(*_signed(assertion))  # type: ignore[no-untyped-call] # as above
        if is_known:
            self._token()
        else:
            self._send(400, b'{"error": "invalid_grant", "error_description": "It is not known."}', {})

    def _token(self, **more: str) -> None:
        self._json({"access_token": self.google.issue(), "expires_in": self.google.lifetime, **more})

    def _gate(self) -> None:
        google, authorization = self.google, self.headers["Authorization"]
        google.shown.append(authorization)
        google.payers += self.headers.get_all("x-goog-user-project", [])
        if google.refusals:
            self._send(*google.refusals.pop(0))
        elif not google.opens(authorization):
            self._send(*refusal(401, "Invalid Credentials", reason="authError"))
        else:
            passed = {name: self.headers[name] for name in ("Range", "Accept-Encoding") if self.headers[name]}
            url = google.storage + self.path
            answer = google.pool.request("GET", url, headers=passed, decode_content=False)
            dropped = {"transfer-encoding", "content-length", "connection"}
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
            self._send(answer.status, answer.data, headers)

    def _json(self, fields: Mapping[str, Any]) -> None:
        self._send(200, json.dumps(fields).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Be quiet."""


def _signed(token: str) -> tuple[bytes, bytes]:
    """Return what is signed of a JWT, and the signature (RFC 7515)."""
    signed, _, signature = token.rpartition(".")
    return signed.encode(), base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
