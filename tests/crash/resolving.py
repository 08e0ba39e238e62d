"""A staged bundle with a dependency of each kind, and the two programs that resolve it into folders of a test."""

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from staging_io.files import HIDDEN_PREFIX
from staging_protocol import pod_contract
from staging_protocol.api.creation import NewBundle, NewFile
from staging_protocol.digests import Digest
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import BundleId
from tests.crash.ledger import LONG, Ledger
from tests.crash.lives import Nursery

_MEMBERS: Final = {"bin/tool": b"#!/bin/sh\n", "lib/a.py": b"A = 1\n" * 500, "lib/b.py": b""}

Tree = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A bundle with one dependency of each kind, and the tree of files that it has to become."""

    url: str
    namespace: str
    bundle: BundleId
    token: str
    files: Tree
    """By path below the folder in which each kind has its own."""


def _archive() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as packed:
        for name, content in _MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return target.getvalue()


def stage(ledger: Ledger) -> Staged:
    """Stage the bundle."""
    contents = [
        (Kind.JAR, "a.jar", ledger.content(9_000_000)),  # two parts
        (Kind.JAR, "empty.jar", b""),
        (Kind.FILE, "c.csv", ledger.content(70_000)),
        (Kind.PYFILE, "m.zip", ledger.content(1_000)),
        (Kind.ARCHIVE, "env.tar.gz", _archive()),
    ]
    files = tuple(
        NewFile(kind=kind, name=FileName(name), size=len(content), digest=Digest.of(content))
        for kind, name, content in contents
    )
    new = NewBundle(application="resolve", files=files, retention=LONG)
    created = ledger.client.create(ledger.namespace, new, idempotency_key="resolve")
    for _, _, content in contents:
        ledger.client.put_blob(ledger.namespace, Digest.of(content), size=len(content), content=iter([content]))
    ledger.client.seal(ledger.namespace, created.id)
    tree = {f"{kind}/{name}": content for kind, name, content in contents if kind is not Kind.ARCHIVE}
    tree |= {f"{Kind.ARCHIVE}/env.tar.gz/{name}": content for name, content in _MEMBERS.items()}
    return Staged(url=ledger.url, namespace=ledger.namespace, bundle=created.id, token=created.token, files=tree)


@dataclass(kw_only=True)
class Pod:
    """The init container in a pod's folders."""

    staged: Staged
    root: Path
    log: Path

    def __post_init__(self) -> None:
        secrets = self.root / pod_contract.SECRET_FOLDER.lstrip("/")
        secrets.mkdir(parents=True)
        (secrets / pod_contract.TOKEN_KEY).write_text(self.staged.token)
        self.command: Sequence[str] = ("init",)
        self.environment = {
            pod_contract.ENV_URL: self.staged.url,
            pod_contract.ENV_BUNDLE: self.staged.bundle,
            pod_contract.ENV_NAMESPACE: self.staged.namespace,
            pod_contract.ENV_FILES_IN: "data",
            "SPARK_STAGING_ROOT": str(self.root),
        }

    def folders(self) -> dict[Kind, Path]:
        return {kind: self.root / folder.lstrip("/") for kind, folder in pod_contract.FOLDERS.items()}


@dataclass(kw_only=True)
class ByHand:
    """`spark-staging resolve`, which flushes and keeps a journal."""

    staged: Staged
    root: Path
    log: Path

    def __post_init__(self) -> None:
        token = self.root / "token"
        token.write_text(self.staged.token)
        self.command: Sequence[str] = (
            "submission", "resolve", f"bundle:{self.staged.bundle}", "--into", str(self.root / "into"),
            "--token-file", str(token), "--namespace", self.staged.namespace, "--progress", "none",
        )  # fmt: skip
        self.environment = {
            "SPARK_STAGING_URL": self.staged.url, "HOME": str(self.root), "XDG_CACHE_HOME": str(self.root),
        }  # fmt: skip

    def folders(self) -> dict[Kind, Path]:
        names = {Kind.JAR: "jars", Kind.FILE: "files", Kind.PYFILE: "pyfiles", Kind.ARCHIVE: "work"}
        return {kind: self.root / "into" / f"spark-{name}" for kind, name in names.items()}


def run(place: Pod | ByHand, forks: Nursery, *, step: int | None = None) -> int:
    program, *arguments = place.command
    """Let it run to its end, or to that step; return the exit code."""
    arm = {"at": step}
    return forks.start(program, *arguments, environment=place.environment, arm=arm, log=place.log).wait()


def check_visible(place: Pod | ByHand, *, whole: bool) -> None:
    """A file that can be seen has its bytes, and an unpacked archive all of its files."""
    found: Tree = {}
    for kind, folder in place.folders().items():
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            if path.is_file() and not relative.parts[0].startswith(HIDDEN_PREFIX):
                found[f"{kind}/{relative}"] = path.read_bytes()
    expected = place.staged.files
    wrong = [name for name, content in found.items() if expected.get(name) != content]
    assert not wrong, f"seen with other bytes: {wrong}"
    archive = {name for name in expected if name.startswith(Kind.ARCHIVE)}
    assert archive & set(found) in (archive, set()), "an archive is seen in part"
    if whole:
        assert found == expected


def leftovers(place: Pod | ByHand) -> list[str]:
    """Hidden names but for the records of what is finished."""
    return [
        path.name
        for folder in place.folders().values()
        for path in folder.rglob(f"{HIDDEN_PREFIX}*")
        if path.suffix != ".jsonl"
    ]
