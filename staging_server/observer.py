"""What the domain tells to whoever counts: a Protocol, so that nothing below HTTP imports a metrics library."""

from typing import Final, Protocol


class Observer(Protocol):
    """Called on the event loop; must not wait and must not raise."""

    def bundle_created(self, *, held: int, wanted: int) -> None:
        """A bundle exists; `held` and `wanted` are bytes."""

    def bundle_ended(self, *, reason: str) -> None:
        """A bundle ended; `reason` is a short stable word: expired, deleted."""

    def blob_stored(self, *, size: int, seconds: float) -> None:
        """An upload was verified and kept."""

    def blob_removed(self, *, size: int, reason: str) -> None:
        """The bytes of a blob are gone; `reason` is a short stable word: keep, quota, unknown."""

    def upload_failed(self, *, code: str) -> None:
        """An upload ended with the error of this code."""

    def group_committed(self, *, requests: int, seconds: float) -> None:
        """One transaction of the writer became durable."""

    def sweep_done(self, *, seconds: float, ended: int, freed: int) -> None:
        """A sweep went through; `freed` is bytes."""

    def sweep_failed(self) -> None:
        """A sweep of the loop raised; the loop goes on."""

    def lead_held(self, *, held: bool) -> None:
        """This process watches and sweeps, or does not any more."""

    def policies_refused(self) -> None:
        """A policies file was not valid; the old policies stay."""


class Silent:
    """Counts nothing."""

    def bundle_created(self, *, held: int, wanted: int) -> None:
        """Do nothing."""

    def bundle_ended(self, *, reason: str) -> None:
        """Do nothing."""

    def blob_stored(self, *, size: int, seconds: float) -> None:
        """Do nothing."""

    def blob_removed(self, *, size: int, reason: str) -> None:
        """Do nothing."""

    def upload_failed(self, *, code: str) -> None:
        """Do nothing."""

    def group_committed(self, *, requests: int, seconds: float) -> None:
        """Do nothing."""

    def sweep_done(self, *, seconds: float, ended: int, freed: int) -> None:
        """Do nothing."""

    def sweep_failed(self) -> None:
        """Do nothing."""

    def lead_held(self, *, held: bool) -> None:
        """Do nothing."""

    def policies_refused(self) -> None:
        """Do nothing."""


SILENT: Final[Observer] = Silent()
"""For commands and tests that count nothing."""
