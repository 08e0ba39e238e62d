"""What a waiting person sees of the resolver's work."""

from resolver.run import InFlight as Fetched
from resolver.run import Observer, Resolved
from resolver.run import Progress as Step
from staging_protocol.errors import StagingError
from submission.progress.telling import InFlight, Progress


class ShownResolving:
    """An observer that passes on what the resolver tells."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen = Step(files=0, files_done=0, size=-1, received=0, seconds=0.0)
        self._files: dict[tuple[str, str], InFlight] = {}

    def progressed(self, progress: Step) -> None:
        """Move the bars."""
        before, self._seen = self._seen, progress
        if (progress.size, progress.files) != (before.size, before.files):
            self._progress.phase("download", size=progress.size, files=progress.files)
        self._show(progress.in_flight)
        self._progress.advance(progress.received - before.received, files=progress.files_done - before.files_done)

    def retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        """Say why there is a wait."""
        self._progress.notice(f"{uri}: {error.detail}; trying again in {seconds:.1f} s")

    def resolved(self, resolved: Resolved) -> None:
        """Say nothing; the result lists everything."""

    def _show(self, fetched: tuple[Fetched, ...]) -> None:
        now = {(one.uri, one.target): one for one in fetched}
        for gone in self._files.keys() - now.keys():
            self._progress.ended(self._files.pop(gone))
        for key, one in now.items():
            if key not in self._files:
                self._files[key] = InFlight(name=one.target, size=one.size)
                self._progress.began(self._files[key])
            self._files[key].position, self._files[key].size = one.received, one.size


_: type[Observer] = ShownResolving
