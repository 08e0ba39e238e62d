"""A real HDFS on loopback: a NameNode, or an active one and a standby, and a DataNode, of Hadoop 2.7.3.

    with running_hadoop(folder) as hadoop:
        hadoop.put("/a.jar", b"…")
        …                               # a client of hadoop.url, or of hadoop.urls with `standby=True`

Each server can be killed, frozen and started again, at the same address and over the same data.
The user `hdfs` may do everything, whoever runs this; `alice` and `mallory` are users without rights of their own.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3

from tests.services.hadoop_jars import HadoopMissing, fetch_hadoop

SUPERUSER: Final = "hdfs"
NAMESERVICE: Final = "ns"
"""What the configuration calls an HDFS with a standby."""

PAGE: Final = 100
"""Names that the NameNode looks up at a time for a listing; usually 1,000."""

_STARTED_WITHIN: Final = 120.0
"""Seconds; an idle machine needs 3, and 8 with a standby."""
_STOPPED_WITHIN: Final = 20.0

_PROGRAMS: Final = {
    "nn1": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "nn2": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "dn": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "haadmin": "org.apache.hadoop.hdfs.tools.DFSHAAdmin",
    "fetchdt": "org.apache.hadoop.hdfs.tools.DelegationTokenFetcher",
}
_JAVA: Final = (
    "java", "-Xmx192m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true",
)  # fmt: skip
_LOGGING: Final = """
log4j.rootLogger=INFO,A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d %p %c{2}: %m%n
"""


class Hadoop:
    """The servers.  `nn1` is the active NameNode at first, `nn2` its standby, if there is one, `dn` the DataNode."""

    def __init__(self, folder: Path, *, standby: bool) -> None:
        self._jars = fetch_hadoop()
        self._folder = folder
        self.namenodes = ("nn1", "nn2") if standby else ("nn1",)
        ports = iter(_free_ports(2 * len(self.namenodes) + 3))
        self._http = {name: next(ports) for name in self.namenodes}
        self._rpc = {name: next(ports) for name in self.namenodes}
        self._dn = {name: next(ports) for name in ("http", "data", "ipc")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=30)

    # --- addresses

    @property
    def urls(self) -> tuple[str, ...]:
        """Where each NameNode serves WebHDFS."""
        return tuple(f"http://127.0.0.1:{port}" for port in self._http.values())

    @property
    def url(self) -> str:
        """Where the first NameNode serves WebHDFS."""
        return self.urls[0]

    @property
    def rpc(self) -> str:
        """Host and port of the first NameNode's RPC, which is what stands in `hdfs://` URIs."""
        return f"127.0.0.1:{self._rpc['nn1']}"

    @property
    def datanode_url(self) -> str:
        """Where redirects lead."""
        return f"http://localhost:{self._dn['http']}"

    @property
    def site(self) -> Path:
        """The hdfs-site.xml of the first NameNode."""
        return self._folder / "conf-nn1" / "hdfs-site.xml"

    # --- servers

    def begin(self) -> None:
        """Make an empty HDFS and start everything."""
        for name in (*self.namenodes, "dn"):
            self._configure(name)
        self._once("nn1", "-format", "-force", "-nonInteractive")
        if len(self.namenodes) > 1:
            # What `-bootstrapStandby` does over the network.
            shutil.copytree(self._folder / "name-nn1", self._folder / "name-nn2")
        self.start(*self.namenodes, "dn")
        if len(self.namenodes) > 1:
            self.make_active("nn1")
        for name in self.namenodes:
            self._wait(name, lambda bean: bean["NumLiveDataNodes"] >= 1 and bean["FSState"] == "Operational")

    def start(self, *names: str) -> None:
        """Start servers that do not run, and wait until they answer."""
        for name in names:
            with (self._folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    self._command(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
                )
        for name in names:
            self._wait(name, bool)

    def kill(self, name: str) -> None:
        """End a server without a word."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(_STOPPED_WITHIN)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a server for the time of the block: it keeps its connections and answers nothing."""
        os.kill(self.pid_of(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid_of(name), signal.SIGCONT)

    def pid_of(self, name: str) -> int:
        """Return the process of a server."""
        return self._processes[name].pid

    def runs(self, name: str) -> bool:
        """Tell whether a server was started and not killed."""
        return name in self._processes

    def make_active(self, name: str) -> None:
        """Make a NameNode the active one; the other one must be a standby or dead, which is not asked for."""
        self._once("haadmin", "-transitionToActive", "--forceactive", name)

    def make_standby(self, name: str) -> None:
        """Make a NameNode a standby."""
        self._once("haadmin", "-transitionToStandby", name)

    def fetch_token(self, file: Path) -> None:
        """Let Hadoop's own tool write a delegation token of the superuser into a file."""
        self._once("fetchdt", "--renewer", SUPERUSER, str(file))

    def wait_until_data(self, name: str = "nn1") -> None:
        """Wait until a NameNode knows of a DataNode and the blocks that it has."""
        self._wait(name, lambda bean: bean["NumLiveDataNodes"] >= 1 and bean["FSState"] == "Operational")

    def close(self) -> None:
        """End all; nothing is to be kept."""
        for name in list(self._processes):
            self.kill(name)
        self._pool.clear()

    # --- files

    def put(self, path: str, content: bytes, *, block_size: int = 1024 * 1024) -> None:
        """Write a file, instead of what was there, with its folders."""
        place = self.ask("PUT", "CREATE", path, overwrite="true", blocksize=block_size)
        assert place.status == 307, place.data
        written = self._pool.request("PUT", place.headers["Location"], body=content)
        assert written.status == 201, written.data

    def append(self, path: str, content: bytes) -> None:
        """Write behind what a file has."""
        place = self.ask("POST", "APPEND", path)
        assert place.status == 307, place.data
        written = self._pool.request("POST", place.headers["Location"], body=content)
        assert written.status == 200, written.data

    def put_many(self, names: Iterable[str]) -> None:
        """Write an empty file under each path."""
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: self.put(name, b""), names))

    def ask(self, method: str, operation: str, path: str, **parameters: str | int) -> urllib3.BaseHTTPResponse:
        """Send one request of WebHDFS as the superuser to the NameNode that answers it; do not follow redirects."""
        query = urlencode({"op": operation, "user.name": SUPERUSER, **parameters}, quote_via=quote)
        for url in self.urls:
            try:
                answer = self._pool.request(method, f"{url}/webhdfs/v1{quote(path)}?{query}", redirect=False)
            except urllib3.exceptions.HTTPError:
                continue
            if b"StandbyException" not in answer.data:
                return answer
        msg = "no NameNode answers"
        raise AssertionError(msg)

    # --- inside

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"PATH": os.defpath, "HOME": str(self._folder), "HADOOP_USER_NAME": SUPERUSER}

    def _command(self, name: str, *arguments: str) -> list[str]:
        configuration = name if name in {*self.namenodes, "dn"} else "nn1"
        class_path = f"{self._folder}/conf-{configuration}:{self._jars}/web:{self._jars}/*"
        java = shutil.which("java") or "java"
        return [java, *_JAVA[1:], "-cp", class_path, _PROGRAMS[name], *arguments]

    def _once(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(name, *arguments), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            msg = f"{name} {' '.join(arguments)} failed: {(done.stdout + done.stderr)[-1000:]}"
            raise HadoopMissing(msg)

    def _wait(self, name: str, condition: Callable[[Any], object]) -> None:
        """Wait until a server's own figures say something; those of a NameNode include the DataNodes that it knows."""
        port, bean = (self._dn["http"], "*") if name == "dn" else (self._http[name], "FSNamesystemState")
        query = "?qry=java.lang:type=Runtime" if name == "dn" else f"?qry=Hadoop:service=NameNode,name={bean}"
        deadline = time.monotonic() + _STARTED_WITHIN
        while time.monotonic() < deadline and self._processes[name].poll() is None:
            try:
                beans = json.loads(self._pool.request("GET", f"http://127.0.0.1:{port}/jmx{query}").data)["beans"]
                if beans and condition(beans[0]):
                    return
            except (urllib3.exceptions.HTTPError, ValueError, KeyError):
                pass
            time.sleep(0.05)
        said = (self._folder / f"{name}.log").read_text()[-1000:]
        msg = f"{name} of Hadoop does not start; its log ends with: {said}"
        raise HadoopMissing(msg)

    def _configure(self, name: str) -> None:
        folder = self._folder / f"conf-{name}"
        folder.mkdir(parents=True)
        properties = {**self._properties(), "dfs.namenode.name.dir": f"file://{self._folder}/name-{name}"}
        if name in self.namenodes and len(self.namenodes) > 1:
            properties["dfs.ha.namenode.id"] = name
        lines = (f"<property><name>{key}</name><value>{value}</value></property>" for key, value in properties.items())
        text = "<configuration>\n" + "\n".join(lines) + "\n</configuration>\n"
        for file in ("core-site.xml", "hdfs-site.xml"):
            (folder / file).write_text(text)
        (folder / "log4j.properties").write_text(_LOGGING)

    def _properties(self) -> dict[str, object]:
        folder, dn = self._folder, self._dn
        properties: dict[str, object] = {
            "dfs.replication": 1, "hadoop.tmp.dir": folder / "tmp", "dfs.datanode.data.dir": f"file://{folder}/data",
            # Redirects name this host.
            "dfs.datanode.hostname": "localhost",
            "dfs.datanode.address": f"127.0.0.1:{dn['data']}", "dfs.datanode.ipc.address": f"127.0.0.1:{dn['ipc']}",
            "dfs.datanode.http.address": f"127.0.0.1:{dn['http']}",
            "dfs.heartbeat.interval": 1, "dfs.namenode.safemode.extension": 0,
            "dfs.namenode.fs-limits.min-block-size": 1024, "ipc.client.connect.retry.interval": 200,
            "dfs.ls.limit": PAGE, "dfs.datanode.du.reserved": 0,
            "dfs.namenode.handler.count": 4, "dfs.datanode.handler.count": 3,
            "hadoop.user.group.static.mapping.overrides": f"{SUPERUSER}=supergroup;alice=alice;mallory=mallory;",
            "fs.permissions.umask-mode": "022",
            # The NameNode makes delegation tokens without Kerberos too; nobody needs one.
            "dfs.namenode.delegation.token.always-use": "true",
        }  # fmt: skip
        if len(self.namenodes) == 1:
            properties |= {f"dfs.namenode.{kind}-address": f"127.0.0.1:{ports['nn1']}" for kind, ports in self._ports}
            return properties | {"fs.defaultFS": f"hdfs://{self.rpc}"}
        for kind, ports in self._ports:
            properties |= {f"dfs.namenode.{kind}-address.{NAMESERVICE}.{nn}": f"127.0.0.1:{ports[nn]}" for nn in ports}
        return properties | {
            "fs.defaultFS": f"hdfs://{NAMESERVICE}", "dfs.nameservices": NAMESERVICE,
            f"dfs.ha.namenodes.{NAMESERVICE}": ",".join(self.namenodes),
            "dfs.namenode.shared.edits.dir": f"file://{folder}/shared", "dfs.ha.fencing.methods": "shell(/bin/true)",
            "dfs.ha.tail-edits.period": 1,
            f"dfs.client.failover.proxy.provider.{NAMESERVICE}":
                "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider",
        }  # fmt: skip

    @property
    def _ports(self) -> tuple[tuple[str, dict[str, int]], ...]:
        return ("rpc", self._rpc), ("http", self._http)


@contextmanager
def running_hadoop(folder: Path, *, standby: bool = False) -> Iterator[Hadoop]:
    """Run an empty HDFS in `folder` until the block ends.

    Raises:
        HadoopMissing: see `fetch_hadoop`, or it did not start; the message has its words.
    """
    hadoop = Hadoop(folder, standby=standby)
    try:
        hadoop.begin()
        yield hadoop
    finally:
        hadoop.close()


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
