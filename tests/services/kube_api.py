"""A real Kubernetes API server on loopback: etcd and kube-apiserver, without nodes and controllers.

As with controller-runtime's envtest, the programs are those in the folder `KUBEBUILDER_ASSETS`.  Without that folder,
the cluster that `KUBECONFIG` names is taken; what tests leave there is in namespaces that are deleted in the end.

Without controllers nothing is collected: an owner reference is kept, but does not delete.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from uuid import uuid4

import trustme
import urllib3
import yaml
from kubernetes import client, config

_STARTED_WITHIN: Final = 60.0
"""Seconds; an idle machine needs 5 to 10."""
_STOPPED_WITHIN: Final = 20.0
_ADMINISTRATORS: Final = "system:masters"
"""The group that may do everything, before any role exists."""


class KubeApiMissingError(Exception):
    """There is no API server to test against; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class KubeApi:
    """An API server, with an administrator's kubeconfig and one of a user without rights."""

    url: str
    kubeconfig: Path
    stranger: Path
    core: Any
    """The library's `CoreV1Api`, as the administrator."""

    def get_secret(self, name: str, *, namespace: str) -> dict[str, Any]:
        """Return a Secret as Kubernetes writes it."""
        secret = self.core.read_namespaced_secret(name, namespace)
        return dict(self.core.api_client.sanitize_for_serialization(secret))

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """Yield a new namespace."""
        name = _make_namespace(self.core)
        try:
            yield name
        finally:
            self.core.delete_namespace(name)


@contextmanager
def running_kube_api() -> Iterator[KubeApi]:
    """Yield an API server of our own, or the cluster of `KUBECONFIG`.

    Raises:
        KubeApiMissingError: there is neither, or the programs do not start.
    """
    assets, usual = (os.environ.get(name) for name in ("KUBEBUILDER_ASSETS", "KUBECONFIG"))  # noqa: TID251 - the suite has no settings module
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kube-api-")))
        if assets:
            kubeconfig = stack.enter_context(_own_server(_programs(Path(assets)), folder=folder))
        elif usual:
            kubeconfig = _current_context(folder)
        else:
            msg = "KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver, and KUBECONFIG no cluster"
            raise KubeApiMissingError(msg)
        settings = client.Configuration(no_proxy="127.0.0.1" if assets else None)
        config.load_kube_config(str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call] # the library has no types
        core = client.CoreV1Api(stack.enter_context(client.ApiClient(settings)))
        namespace = _make_namespace(core)
        stack.callback(core.delete_namespace, namespace)
        stranger = folder / "stranger"
        _write_kubeconfig(stranger, settings.host, settings.ssl_ca_cert, {"token": _token(core, namespace)})
        yield KubeApi(url=settings.host, kubeconfig=kubeconfig, stranger=stranger, core=core)


def _current_context(folder: Path) -> Path:
    """Write what kubectl makes of `KUBECONFIG`: one context, and no names of other files."""
    command = ["kubectl", "config", "view", "--minify", "--flatten", "--raw"]
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    try:
        path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        msg = f"kubectl cannot read the cluster of KUBECONFIG: {error}"
        raise KubeApiMissingError(msg) from error
    return path


def _make_namespace(core: Any) -> str:
    name = f"spark-staging-test-{uuid4().hex[:12]}"
    core.create_namespace({"metadata": {"name": name}})
    return name


def _token(core: Any, namespace: str) -> str:
    """Return the token of a new service account; nobody has given it rights."""
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "stranger"}})
    # The audience of an API server is its issuer, unless it was told otherwise.
    request = {"spec": {"expirationSeconds": 3600, "audiences": []}}
    return str(core.create_namespaced_service_account_token("stranger", namespace, request).status.token)


def _programs(assets: Path) -> dict[str, Path]:
    programs = {name: assets / name for name in ("etcd", "kube-apiserver")}
    if absent := [name for name, path in programs.items() if not path.is_file()]:
        msg = f"KUBEBUILDER_ASSETS is {assets}, but there is no {' and no '.join(absent)} in it"
        raise KubeApiMissingError(msg)
    return programs


@contextmanager
def _own_server(programs: dict[str, Path], *, folder: Path) -> Iterator[Path]:
    """Run both programs; yield the kubeconfig of an administrator, who has a client certificate."""
    authority = trustme.CA()
    _write_certificates(authority, folder=folder)
    client_port, peer_port, port = _free_ports(3)
    url = f"https://127.0.0.1:{port}"
    kubeconfig = folder / "kubeconfig"
    identity = {"client-certificate": str(folder / "admin.pem"), "client-key": str(folder / "admin.pem")}
    _write_kubeconfig(kubeconfig, url, str(folder / "ca.pem"), identity)
    etcd = f"http://127.0.0.1:{client_port}"
    with (
        _program(_etcd(programs["etcd"], folder=folder, url=etcd, peer_port=peer_port), folder=folder) as database,
        _program(_apiserver(programs["kube-apiserver"], folder=folder, port=port, etcd=etcd), folder=folder) as server,
    ):
        _wait_until_ready(url, processes=(database, server), folder=folder)
        yield kubeconfig


def _write_certificates(authority: trustme.CA, *, folder: Path) -> None:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    # The host name is for Go, which refuses a certificate whose list of names is there, but empty.
    admin = authority.issue_cert("admin.invalid", common_name="admin", organization_name=_ADMINISTRATORS)
    admin.private_key_and_cert_chain_pem.write_to_path(folder / "admin.pem")
    # Signs the tokens of service accounts; any key will do.
    server.private_key_pem.write_to_path(folder / "accounts.pem")


def _write_kubeconfig(path: Path, url: str, authority: str | None, identity: dict[str, str]) -> None:
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


def _etcd(program: Path, *, folder: Path, url: str, peer_port: int) -> list[str]:
    peer = f"http://127.0.0.1:{peer_port}"
    return [
        str(program), f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
    ]  # fmt: skip


def _apiserver(program: Path, *, folder: Path, port: int, etcd: str) -> list[str]:
    """Return the command; every flag is known to 1.20 and to today's versions."""
    return [
        str(program), f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={port}",
        # Nobody has to find this server by the Service `kubernetes`, where a loopback address is refused.
        "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
        f"--cert-dir={folder}", f"--tls-cert-file={folder / 'server.pem'}",
        f"--tls-private-key-file={folder / 'server.pem'}", f"--client-ca-file={folder / 'ca.pem'}",
        "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={folder / 'accounts.pem'}",
        f"--service-account-key-file={folder / 'accounts.pem'}",
        # Pods would wait for the account `default`, which a controller makes.
        "--disable-admission-plugins=ServiceAccount",
    ]  # fmt: skip


@contextmanager
def _program(command: Sequence[str], *, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with _log(command[0], folder=folder).open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            yield process
        finally:
            # Nothing is to be kept; an API server that is asked to end waits for its watches.
            process.kill()
            process.wait(_STOPPED_WITHIN)


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
