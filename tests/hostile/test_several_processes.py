"""The hostile requests, with several processes behind the port: a reader hands over what it does not answer itself."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from staging_io.http import HttpClient
from staging_io.staging import StagingClient
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_server.access_tokens import Verb
from tests.end_to_end import programs
from tests.hostile import crafted_framing, crafted_heads
from tests.hostile.crafted import HostileRequest
from tests.staging_server.live import access_token

_TABLES = (
    crafted_framing.sizes, crafted_framing.chunks, crafted_framing.heads, crafted_heads.targets,
    crafted_heads.queries, crafted_heads.identities, crafted_heads.fields,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Processes:
    """A server of three processes with one bundle."""

    server: programs.Server
    token: str
    bundle: str

    def ask(self, case: HostileRequest) -> bytes:
        """Return everything that is answered until the connection is closed; nothing when it is reset before."""
        data = case.data.replace(b"{token}", self.token.encode()).replace(b"{bundle}", self.bundle.encode())
        data = data.replace(b"{digest}", Digest.of(b"content").encode())
        answer = b""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
            with suppress(ConnectionError):  # it may close while we are still sending
                connection.sendall(data)
            with suppress(ConnectionResetError):
                while more := connection.recv(65536):
                    answer += more
        # A close while much is on its way can cost the answer (RFC 9112, section 9.6).
        assert answer or len(data) > 100_000, case.name
        return answer


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    tokens = tmp_path / "tokens.json"
    token = access_token(tokens, verbs=tuple(verb for verb in Verb if verb is not Verb.OPERATE))
    settings = {"WORKERS": "3", "AUTH__MODE": "tokens", "AUTH__TOKENS_FILE": str(tokens)}
    with programs.running(programs.Server(folder=tmp_path / "server", settings=settings)) as server:
        http = HttpClient()
        client = StagingClient(url=server.url, token=token, http=http)
        file = NewFile(kind=Kind.JAR, name=FileName("a.jar"), size=7, digest=Digest.of(b"content"))
        made = client.create("team-a", NewBundle(application="job", files=(file,)), idempotency_key="k")
        client.put_blob("team-a", file.digest, size=7, content=[b"content"])
        client.seal("team-a", made.id)
        http.close()
        yield Processes(server=server, token=token.text, bundle=made.id)


def test_hostile_requests_are_refused_by_several_processes_too(processes: Processes) -> None:
    wrong = []
    for case in (case for table in _TABLES for case in table()):
        for _ in range(2):  # any of the processes may take the connection
            answer = processes.ask(case)
            refused = answer.split(b" ", 2)[1:2] == [str(case.status).encode()]
            if (answer and not refused) or answer.count(b"HTTP/1.") > 1 or b'namespaces":[' in answer:
                wrong.append((case.name, answer[:200]))
    assert not wrong
    assert "internal-error" not in processes.server.log.read_text()
