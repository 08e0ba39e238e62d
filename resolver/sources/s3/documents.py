"""XML as S3 answers it, read while it arrives: only text of elements, no entities, and never more than a page.

The parser is expat itself; a document type, which could declare entities, ends it.
"""

from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

from staging_io.http import Answer
from staging_protocol.errors import InvalidRequest, SourceUnavailable

Element = tuple[str, str]
"""The path of an element below the root (`Contents/Key`), and its text, at its end; the root itself has no path."""

_PIECE: Final = 64 * 1024
_DEPTH: Final = 8
_SLASH: Final = "/"


def elements(answer: Answer, *, root: str, most: int, name: str) -> Iterator[Element]:
    """Give the elements of the body of `answer`, whose root has to be `root`.

    Raises:
        InvalidRequest: it is another document, has more than `most` bytes, or a document type.
        SourceUnavailable: it broke off, or is no XML.
    """
    reading = _Reading(root, name=name)
    buffer = memoryview(bytearray(_PIECE))
    size = 0
    while count := answer.read_into(buffer):
        size += count
        if size > most:
            msg = f"{name}: the answer has more than {most} bytes"
            raise InvalidRequest(msg)
        yield from reading.of(bytes(buffer[:count]))
    yield from reading.of(b"", is_last=True)


class _Reading:
    """One document."""

    def __init__(self, root: str, *, name: str) -> None:
        self._root = root
        self._name = name
        self._path: list[str] = []
        self._text: list[str] = []
        self._found: list[Element] = []
        self._parser = parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._doctype

    def of(self, data: bytes, *, is_last: bool = False) -> list[Element]:
        try:
            self._parser.Parse(data, is_last)
        except expat.ExpatError as error:
            msg = f"{self._name}: the answer is no XML, or broke off: {error}"
            raise SourceUnavailable(msg) from error
        found, self._found = self._found, []
        return found

    def _start(self, element: str, _attributes: object) -> None:
        if not self._path and element != self._root:
            other = f"{element!r} instead of {self._root!r}"
            raise self._refused(other)
        if len(self._path) >= _DEPTH:
            raise self._refused("elements in elements without end")
        self._path.append(element)
        self._text.clear()

    def _end(self, _element: str) -> None:
        self._found.append((_SLASH.join(self._path[1:]), "".join(self._text)))
        self._path.pop()
        self._text.clear()

    def _doctype(self, *_declared: object) -> None:
        raise self._refused("a document type")

    def _refused(self, what: str) -> InvalidRequest:
        return InvalidRequest(f"{self._name}: the answer has {what}; is it S3 that answers?")
