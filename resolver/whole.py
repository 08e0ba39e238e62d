"""The short way of a small file: one answer brings all of it, one buffer holds it, and it is written after its check.

Most files of a job with thousands are like that.  What files in parts need (their order, resuming, hashing behind the
receivers, the lock on each) takes more processor time than such a file itself: this halves what the engine takes.  So
every file that may be one is asked for here first, as `attempt` would ask.  What is no whole small file is handed on to
it: an answer that nobody has read of, one that broke off, or an error that may pass.
"""

from contextlib import AbstractContextManager

import msgspec

from resolver.checksums import InOrder, Sums, check_for
from resolver.facts import Facts
from resolver.plan import Download
from resolver.run import Run
from resolver.sources.base import Reading, Source, Stat, Version
from resolver.sources.opened import BrokenOff, Opened, Unopened
from staging_io.files import UnfinishedFile
from staging_protocol.errors import SourceChanged, TransientError


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is verified, and not visible yet."""

    file: UnfinishedFile
    sums: Sums
    size: int
    version: Version | None


First = AbstractContextManager[Reading]
"""What the first question brought, where that was not the file."""


def may_be_small(download: Download, *, run: Run) -> bool:
    """Tell whether to ask here; an archive is unpacked from its file, so nothing is saved."""
    most = min(run.settings.buffer_size, run.settings.part_size)
    return not download.is_unpacked and (download.size is None or download.size <= most)


def fetch_whole(download: Download, *, source: Source, run: Run, buffer: memoryview) -> Fetched | First:
    """Ask for the whole file, and bring it when it fits into `buffer`.

    Raises:
        SourceChanged, DigestMismatch: this try cannot succeed.
        StagingError: no try can.
    """
    stop = run.settings.part_size if download.size is None else None  # as `attempt` asks
    try:
        opened = Opened(source.read(download.uri, version=None, start=0, stop=stop))
    except SourceChanged:
        raise
    except TransientError as error:
        return Unopened(error)
    reading = opened.reading
    size = reading.stop
    if size is None or size > len(buffer) or not _is_all(reading):
        return opened
    with opened:
        broken = _receive(reading, buffer[:size], run=run)
    return broken or _written(download, reading.stat, buffer[:size], run=run)


def _is_all(reading: Reading) -> bool:
    """Tell whether these bytes and this answer are all that is needed."""
    stat = reading.stat
    return reading.start == 0 and reading.stop == stat.size and not stat.says_less and not stat.unpinned


def _receive(reading: Reading, data: memoryview, *, run: Run) -> BrokenOff | None:
    """Fill `data`, or return what arrived."""
    done, error = 0, None
    try:
        while done < len(data) and (count := reading.read_into(data[done:])):
            done += count
            run.clock.check()
    except TransientError as caught:
        error = caught
    if done == len(data):
        run.received(done)
        return None
    return BrokenOff(stat=reading.stat, start=0, stop=reading.stop, arrived=bytes(data[:done]), error=error)


def _written(download: Download, stat: Stat, data: memoryview, *, run: Run) -> Fetched:
    facts = Facts(download)
    facts.learn(stat)
    check = check_for(stat, digest=download.digest, wanted=run.settings.digests)
    computing = InOrder(check)
    computing.update(data)
    sums = computing.result()
    check.verify(sums, name=download.uri)
    if download.size is None:
        run.sizes[download.path] = len(data)
    file = run.workspace.begin_file(download.path)
    file.write(data, 0)
    return Fetched(file=file, sums=sums, size=len(data), version=stat.version)
