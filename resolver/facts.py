"""What the answers to one try at a file have said, and whether they agree with one another and with the manifest."""

from resolver.plan import Download
from resolver.sources.base import Reading, Stat
from staging_protocol.errors import DigestMismatch, InvalidRequest, SourceChanged


class Facts:
    """The first answer makes them, later ones must not contradict."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self.stat: Stat | None = None
        self._size: int | None = None

    @property
    def size(self) -> int | None:
        """Size of the file, once it is known for sure."""
        return self._size

    @property
    def is_known(self) -> bool:
        """Whether there was an answer."""
        return self.stat is not None

    def learn(self, stat: Stat) -> None:
        """Take an answer.

        Raises:
            DigestMismatch: the source has something else than the manifest promises.
            SourceChanged: it has something else than it had at first.
        """
        self._check_size(stat)
        if self.stat is not None and stat.version is not None and stat.version != self.stat.version:
            msg = f"{self._download.uri} changed while it was downloaded"
            raise SourceChanged(msg)
        if stat.digest is not None and self._download.digest not in {None, stat.digest}:
            msg = f"the source says that {self._download.uri} has {stat.digest}, expected {self._download.digest}"
            raise DigestMismatch(msg)
        if self.stat is None:
            self.stat, self._size = stat, stat.size

    def check_end(self, reading: Reading) -> None:
        """Refuse bytes of which nobody can tell whether they are whole.

        Raises:
            InvalidRequest: neither answer nor manifest say it.
        """
        known = self._download.digest or reading.stat.digest or self._download.size
        if not reading.says_its_end and known is None and self._size is None:
            msg = f"{self._download.uri} comes without a size: nobody can tell whether it is whole; name its digest"
            raise InvalidRequest(msg)

    def ends_at(self, size: int) -> None:
        """Take the end of bytes that came without a size for the end of the file.

        Raises:
            DigestMismatch: the manifest has another size.
        """
        self._size = size
        if self._download.size not in {None, size}:
            msg = f"{self._download.uri} has {size} bytes, expected {self._download.size}"
            raise DigestMismatch(msg)

    def check_position(self, at: int) -> None:
        """Raise DigestMismatch when more has come than the manifest promises."""
        if self._download.size is not None and at > self._download.size:
            msg = f"{self._download.uri} has more than the expected {self._download.size} bytes"
            raise DigestMismatch(msg)

    def _check_size(self, stat: Stat) -> None:
        promised = self._download.size if self._size is None else self._size
        if stat.size is not None and promised is not None and stat.size != promised:
            detail = f"{self._download.uri} has {stat.size} bytes, expected {promised}"
            raise (DigestMismatch(detail) if self._size is None else SourceChanged(detail))
