"""What questions about callers tell to whoever counts: a Protocol, so that nothing here imports a metrics library.

`kind` is `token` (TokenReview: who is it) or `access` (SubjectAccessReview: may they).
"""

from typing import Final, Literal, Protocol

Kind = Literal["token", "access"]
Result = Literal["yes", "no", "error"]


class ReviewObserver(Protocol):
    """Called on the event loop; must not wait and must not raise."""

    def reviewed(self, kind: Kind, /, *, result: Result, seconds: float) -> None:
        """Kubernetes answered, or with `error` did not."""

    def review_spared(self, kind: Kind, /) -> None:
        """The answer was known."""

    def review_limited(self, kind: Kind, /) -> None:
        """The question was not asked, because too many are: the caller gets 429."""


class Silent:
    """Counts nothing."""

    def reviewed(self, kind: Kind, /, *, result: Result, seconds: float) -> None:
        """Do nothing."""

    def review_spared(self, kind: Kind, /) -> None:
        """Do nothing."""

    def review_limited(self, kind: Kind, /) -> None:
        """Do nothing."""


SILENT: Final[ReviewObserver] = Silent()
"""For commands and tests that count nothing."""
