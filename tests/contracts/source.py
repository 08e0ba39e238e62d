"""What every source promises; a source's test makes a class of this with its own `served`.

`served` is a real server of the source's service, over a folder of the test.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from resolver.sources.base import Reading, Source, Version
from staging_protocol.errors import NotFound, PermanentError, SourceChanged, TransientError
from staging_protocol.uris import DependencyUri

CONTENT = bytes(range(256)) * 1000


class Served(Protocol):
    """A running service with files, and the source that reads from it."""

    source: Source

    def put(self, name: str, content: bytes) -> DependencyUri:
        """Serve `content` under `name`, instead of what was there."""

    def missing(self) -> DependencyUri:
        """Return the URI of something that is not there."""

    def unreachable(self) -> tuple[Source, DependencyUri]:
        """Return a source whose server does not answer, and a URI for it."""


def read_all(reading: Reading, *, buffer_size: int = 10_000) -> bytes:
    """Return all bytes of a reading."""
    buffer = memoryview(bytearray(buffer_size))
    found = bytearray()
    while count := reading.read_into(buffer):
        found += buffer[:count]
    return bytes(found)


def read(
    source: Source, uri: DependencyUri, *, version: Version | None = None, start: int = 0, stop: int | None = None
) -> bytes:
    """Return what the source gives for a range."""
    with source.read(uri, version=version, start=start, stop=stop) as reading:
        return read_all(reading)


class SourceContract:
    """The suite."""

    def test_it_tells_the_size_and_a_version(self, served: Served) -> None:
        stat = served.source.stat(served.put("a.bin", CONTENT))
        assert stat.size == len(CONTENT)
        assert stat.version is not None

    def test_the_version_of_a_reading_is_the_one_of_stat(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=0, stop=10) as reading:
            assert reading.stat.version == served.source.stat(uri).version
            assert reading.stat.size == len(CONTENT)

    def test_it_gives_all_bytes(self, served: Served) -> None:
        assert read(served.source, served.put("a.bin", CONTENT)) == CONTENT

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 255), (1000, 5000), (len(CONTENT) - 1, len(CONTENT))])
    def test_a_range_is_exactly_what_was_asked_for(self, served: Served, start: int, stop: int) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=start, stop=stop) as reading:
            assert (reading.start, reading.stop) == (start, stop)
            assert read_all(reading) == CONTENT[start:stop]

    def test_a_range_beyond_the_end_ends_at_the_end(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=100, stop=10**9) as reading:
            assert reading.stop == len(CONTENT)
            assert read_all(reading) == CONTENT[100:]

    def test_without_a_stop_it_reads_to_the_end(self, served: Served) -> None:
        assert read(served.source, served.put("a.bin", CONTENT), start=100) == CONTENT[100:]

    def test_an_empty_dependency_has_no_bytes(self, served: Served) -> None:
        uri = served.put("empty.bin", b"")
        assert served.source.stat(uri).size == 0
        assert read(served.source, uri) == b""

    def test_a_range_of_an_empty_dependency_has_no_bytes(self, served: Served) -> None:
        with served.source.read(served.put("empty.bin", b""), version=None, start=0, stop=100) as reading:
            assert reading.stat.size == 0
            assert read_all(reading) == b""

    def test_asking_from_the_end_on_gives_no_bytes(self, served: Served) -> None:
        assert read(served.source, served.put("a.bin", CONTENT), start=len(CONTENT)) == b""

    @pytest.mark.parametrize("name", ["with space.jar", "größe.bin", "100%25.txt", "a+b&c=d.jar", "semi;colon.jar"])
    def test_any_name_can_be_read(self, served: Served, name: str) -> None:
        assert read(served.source, served.put(name, name.encode())) == name.encode()

    def test_what_is_not_there_is_not_found(self, served: Served) -> None:
        with pytest.raises(NotFound):
            served.source.stat(served.missing())
        with pytest.raises(NotFound):
            read(served.source, served.missing())

    def test_the_same_version_can_be_read_in_pieces(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        version = served.source.stat(uri).version
        pieces = [
            read(served.source, uri, version=version, start=at, stop=min(at + 7000, len(CONTENT)))
            for at in range(0, len(CONTENT), 7000)
        ]
        assert b"".join(pieces) == CONTENT

    def test_a_version_that_is_gone_is_noticed(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with pytest.raises(SourceChanged):
            read(served.source, uri, version=Version('"another"', strong=True), start=10, stop=20)

    def test_a_server_that_does_not_answer_may_answer_later(self, served: Served) -> None:
        source, uri = served.unreachable()
        with pytest.raises(TransientError):
            source.stat(uri)
        with pytest.raises(TransientError):
            read(source, uri)

    def test_its_messages_never_hold_a_query(self, served: Served) -> None:
        uri = DependencyUri.parse(f"{served.missing().text}?X-Amz-Signature=c0ffee")
        with pytest.raises(PermanentError) as caught:
            read(served.source, uri)
        assert "c0ffee" not in caught.value.detail

    def test_several_threads_can_read_at_once(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda at: read(served.source, uri, start=at, stop=at + 100), range(0, 4000, 100)))
        assert found == [CONTENT[at : at + 100] for at in range(0, 4000, 100)]

    def test_a_reading_may_be_left_early(self, served: Served) -> None:
        uri = served.put("a.bin", CONTENT)
        with served.source.read(uri, version=None, start=0, stop=None) as reading:
            reading.read_into(memoryview(bytearray(10)))
        assert read(served.source, uri) == CONTENT
