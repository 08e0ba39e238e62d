"""A manifest becomes files in folders.

Used by the init container and by `spark-staging resolve`.  Whatever way it ends, by success, error, signal or deadline:
what is visible is whole, and nothing half done is left (but for what a journal can go on with).
"""

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from resolver.download import DependencyDownload
from resolver.plan import ContainerLocal, Download, Plan, Volume, plan
from resolver.retry import Attempts, Clock
from resolver.run import Observer, Resolved, Run, Silent
from resolver.settings import ResolveSettings
from resolver.sources.base import Source
from resolver.sources.choose import SCHEMES, Sources
from staging_io.files import free_space, make_folder, regular_size, remove_leftovers, sole_writer
from staging_protocol.errors import NotFound
from staging_protocol.manifest import Kind, Manifest

_LIKE_A_PATTERN: Final = re.compile(r"[*?\[{]|/(?:#|$)")
"""What every folder and glob has, and hardly any other URI."""

_PATIENCE: Final = 0.5
"""Seconds that threads get to notice the end; a pod that is terminated has 2 s for everything."""


def resolve(
    manifest: Manifest,
    *,
    folder_of: Callable[[Kind], Path],
    sources: Sources,
    settings: ResolveSettings | None = None,
    observer: Observer | None = None,
) -> tuple[Resolved, ...]:
    """Bring every dependency of the manifest to its place; return them in its order, folders and globs expanded.

    Running it again moves nothing that is whole.

    Raises:
        StagingError: the first thing that went wrong; its `exit_code` says how a command ends.
    """
    settings, observer = settings or ResolveSettings(), observer or Silent()
    clock = Clock(settings.deadline)
    manifest = _expanded(
        manifest, sources=sources, attempts=lambda name: Attempts(name, settings.retry, clock, observer.retrying)
    )
    folders = {kind: folder_of(kind) for kind in sorted({entry.kind for entry in manifest.entries})}
    with ExitStack() as locks:
        for folder in sorted(set(folders.values())):
            make_folder(folder, durable=settings.durable)
            locks.enter_context(sole_writer(folder))
            remove_leftovers(folder, keep_journals=settings.journal)
        todo = _plan(manifest, folders=folders)
        run = Run(settings, files=len(todo.downloads), clock=clock, observer=observer)
        try:
            return _carry_out(todo, manifest, sources=sources, run=run)
        finally:
            # A thread that hangs in a read may still open a hidden file: until it has left, nobody else begins here.
            run.crew.when_left(locks.pop_all().close)


def _expanded(manifest: Manifest, *, sources: Sources, attempts: Callable[[str], Attempts]) -> Manifest:
    if not any(_LIKE_A_PATTERN.search(entry.uri) for entry in manifest.entries):
        return manifest
    from resolver.expand import expand_entries  # most manifests name each file

    return Manifest(
        entries=expand_entries(manifest.entries, sources=sources, attempts=attempts), version=manifest.version
    )


def _plan(manifest: Manifest, *, folders: dict[Kind, Path]) -> Plan:
    held = {
        path: size
        for entry in manifest.entries
        if (size := regular_size(path := f"{folders[entry.kind]}/{entry.target}")) is not None
    }
    return plan(
        manifest,
        folder_of=lambda kind: str(folders[kind]),
        schemes=SCHEMES,
        volumes={str(folder): Volume(*free_space(folder)) for folder in folders.values()},
        held=held,
    )


def _carry_out(todo: Plan, manifest: Manifest, *, sources: Sources, run: Run) -> tuple[Resolved, ...]:
    present = [_present(entry) for entry in todo.container_local]
    started = time.monotonic()

    def observe(received: int, files: int, now: float) -> None:
        run.parallelism.observe(received=received, files=files, computed=time.process_time(), now=now)

    def tick() -> None:
        run.clock.check()
        progress = run.progress(files=len(todo.downloads), size=todo.size, seconds=time.monotonic() - started)
        observe(progress.received, progress.files_done, progress.seconds)
        run.share_out()
        run.observer.progressed(progress)

    try:
        observe(0, 0, 0.0)
        run.crew.add(*(partial(_bring, one, sources.source_of(one.uri), run) for one in todo.downloads))
        run.crew.run(interval=run.settings.progress_interval, tick=tick)
        run.workspace.flush({download.folder for download in todo.downloads})
        tick()
    finally:
        run.clock.end()
        run.crew.end(patience=_PATIENCE)
        run.workspace.end()
        run.end()
    return _in_order(manifest, todo, run.all_resolved(), present)


def _bring(download: Download, source: Source, run: Run, buffer: memoryview) -> None:
    """Begin one download; what it needs is made now, because a manifest may have ten thousand."""
    DependencyDownload(download, source=source, run=run).start(buffer)


def _present(entry: ContainerLocal) -> Resolved:
    path = Path(entry.path)
    if not path.exists():
        msg = f"{entry.uri} is not in this container: there is no {path}"
        raise NotFound(msg)
    return Resolved(
        uri=str(entry.uri), kind=entry.kind, target=entry.target, path=entry.path, digest=None,
        size=regular_size(path) or 0, seconds=0.0, reused=True,
    )  # fmt: skip


def _in_order(
    manifest: Manifest, todo: Plan, done: dict[str, Resolved], present: list[Resolved]
) -> tuple[Resolved, ...]:
    downloads, local = iter(todo.downloads), iter(present)
    return tuple(
        next(local) if entry.uri.lower().startswith("local:") else done[next(downloads).path]
        for entry in manifest.entries
    )
