"""etcd and kube-apiserver as processes on loopback, from the folder `KUBEBUILDER_ASSETS`, as in envtest.

    folder/ca.pem, server.pem, admin.pem, accounts.pem     the authority and what it issued
    folder/kubeconfig                                      of an administrator, who has a client certificate
    folder/audit.log                                       one line for each request, with `audit`

The API server can be killed and started again, at the same address and over the same etcd.
"""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

import trustme
import urllib3
import yaml

_STARTED_WITHIN: Final = 60.0
"""Seconds; an idle machine needs 5 to 10."""
_STOPPED_WITHIN: Final = 20.0
_ADMINISTRATORS: Final = "system:masters"
"""The group that may do everything, before any role exists."""
_EVERY_REQUEST: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}


class KubeApiMissingError(Exception):
    """There is no API server to test against; the message says what to do."""


class ApiServer:
    """A running API server and its etcd."""

    def __init__(self, programs: dict[str, Path], *, folder: Path, audit: bool) -> None:
        self._programs = programs
        self._folder = folder
        client_port, peer_port, port = _free_ports(3)
        self._etcd_url = f"http://127.0.0.1:{client_port}"
        self._peer_url = f"http://127.0.0.1:{peer_port}"
        self._port = port
        self._audit = audit
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where the API server listens."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def audit_log(self) -> Path:
        """Return the file to which it writes each request."""
        return self._folder / "audit.log"

    def start(self) -> None:
        """Start what does not run, and wait until it serves."""
        if self._etcd is None:
            self._etcd = self._run(self._etcd_command())
        self._server = self._run(self._server_command())
        _wait_until_ready(self.url, processes=(self._etcd, self._server), folder=self._folder)

    def kill(self) -> None:
        """End the API server without a word."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(_STOPPED_WITHIN)
            self._server = None

    def close(self) -> None:
        """End both; nothing is to be kept."""
        self.kill()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait(_STOPPED_WITHIN)
            self._etcd = None

    def compact(self) -> None:
        """Let etcd forget all that was before now."""
        with urllib3.PoolManager() as http:
            key = base64.b64encode(b"/").decode()
            answer = http.request("POST", f"{self._etcd_url}/v3/kv/range", body=json.dumps({"key": key}).encode())
            revision = answer.json()["header"]["revision"]
            body = json.dumps({"revision": revision, "physical": True}).encode()
            assert http.request("POST", f"{self._etcd_url}/v3/kv/compaction", body=body).status == 200

    def _run(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with _log(command[0], folder=self._folder).open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)

    def _etcd_command(self) -> list[str]:
        url, peer = self._etcd_url, self._peer_url
        return [
            str(self._programs["etcd"]), f"--data-dir={self._folder / 'etcd'}", f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]  # fmt: skip

    def _server_command(self) -> list[str]:
        """Return the command; every flag is known to 1.20 and to today's versions."""
        folder, certificate = self._folder, self._folder / "server.pem"
        command = [
            str(self._programs["kube-apiserver"]), f"--etcd-servers={self._etcd_url}", "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            # Nobody has to find this server by the Service `kubernetes`, where a loopback address is refused.
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--cert-dir={folder}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={certificate}",
            f"--client-ca-file={folder / 'ca.pem'}",
            "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={folder / 'accounts.pem'}",
            f"--service-account-key-file={folder / 'accounts.pem'}",
            # Pods would wait for the account `default`, which a controller makes.
            "--disable-admission-plugins=ServiceAccount",
        ]  # fmt: skip
        if self._audit:
            policy = folder / "audit-policy.yaml"
            policy.write_text(yaml.safe_dump(_EVERY_REQUEST))
            command += [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}"]
        return command


@contextmanager
def own_server(assets: Path, *, folder: Path, audit: bool = False) -> Iterator[ApiServer]:
    """Run both programs; `folder` has the kubeconfig of an administrator.

    Raises:
        KubeApiMissingError: the programs are not there, or do not start.
    """
    server = ApiServer(_found(assets), folder=folder, audit=audit)
    _write_certificates(trustme.CA(), folder=folder)
    identity = {"client-certificate": str(folder / "admin.pem"), "client-key": str(folder / "admin.pem")}
    write_kubeconfig(folder / "kubeconfig", server.url, str(folder / "ca.pem"), identity)
    try:
        server.start()
        yield server
    finally:
        server.close()


def write_kubeconfig(path: Path, url: str, authority: str | None, identity: dict[str, str]) -> None:
    """Write a kubeconfig of one context; `identity` is what its user has."""
    trust = {"certificate-authority": authority} if authority else {}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": url, **trust}}],
        "users": [{"name": "me", "user": identity}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))


def _found(assets: Path) -> dict[str, Path]:
    programs = {name: assets / name for name in ("etcd", "kube-apiserver")}
    if absent := [name for name, path in programs.items() if not path.is_file()]:
        msg = f"KUBEBUILDER_ASSETS is {assets}, but there is no {' and no '.join(absent)} in it"
        raise KubeApiMissingError(msg)
    return programs


def _write_certificates(authority: trustme.CA, *, folder: Path) -> None:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    # The host name is for Go, which refuses a certificate whose list of names is there, but empty.
    admin = authority.issue_cert("admin.invalid", common_name="admin", organization_name=_ADMINISTRATORS)
    admin.private_key_and_cert_chain_pem.write_to_path(folder / "admin.pem")
    # Signs the tokens of service accounts; any key will do.
    server.private_key_pem.write_to_path(folder / "accounts.pem")


def _log(program: str, *, folder: Path) -> Path:
    return folder / f"{Path(program).name}.log"


def _wait_until_ready(url: str, *, processes: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN
    authority, admin = str(folder / "ca.pem"), str(folder / "admin.pem")
    with urllib3.PoolManager(ca_certs=authority, cert_file=admin, retries=False, timeout=5) as http:
        while time.monotonic() < deadline and all(process.poll() is None for process in processes):
            try:
                if http.request("GET", f"{url}/readyz").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.1)
    said = "\n".join(_last_lines(_log(str(process.args[0]), folder=folder).open("rb")) for process in processes)  # type: ignore[index] # a list
    msg = f"the API server does not start; the programs say:\n{said}"
    raise KubeApiMissingError(msg)


def _last_lines(log: IO[bytes]) -> str:
    with log:
        return log.read().decode(errors="replace")[-2000:]


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now; they are held together, so that they differ."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(listener.getsockname()[1]) for listener in listeners]
