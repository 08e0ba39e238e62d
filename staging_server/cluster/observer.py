"""What the watches tell to whoever counts: a Protocol, so that nothing here imports a metrics library."""

from typing import Final, Protocol


class WatchObserver(Protocol):
    """Called on the event loop; must not wait and must not raise.

    `kind` is the name of what is watched (`pods`, `jobs`, …), `namespace` is empty for a watch of the whole cluster.
    """

    def watch_heard(self, kind: str, namespace: str, /) -> None:
        """The API server spoke: an event, a bookmark, a whole list, a watch that it took; the lag begins anew."""

    def watch_listed(self, kind: str, namespace: str, /, *, objects: int, seconds: float) -> None:
        """A list was whole."""

    def watch_broken(self, kind: str, namespace: str, /, *, code: str) -> None:
        """From now on nothing is known of this kind; `code` is that of the error.  May be told again."""

    def watch_whole(self, kind: str, namespace: str, /) -> None:
        """It is known again, or for the first time."""

    def watch_closed(self, kind: str, namespace: str, /) -> None:
        """Nobody watches it any more: its lag and state mean nothing."""


class Silent:
    """Counts nothing."""

    def watch_heard(self, kind: str, namespace: str, /) -> None:
        """Do nothing."""

    def watch_listed(self, kind: str, namespace: str, /, *, objects: int, seconds: float) -> None:
        """Do nothing."""

    def watch_broken(self, kind: str, namespace: str, /, *, code: str) -> None:
        """Do nothing."""

    def watch_whole(self, kind: str, namespace: str, /) -> None:
        """Do nothing."""

    def watch_closed(self, kind: str, namespace: str, /) -> None:
        """Do nothing."""


SILENT: Final[WatchObserver] = Silent()
"""For commands and tests that count nothing."""
