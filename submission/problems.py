"""Several things that are wrong, told at once: a person mends them all before the next try."""

from collections.abc import Sequence

from staging_protocol.errors import StagingError


def worst(errors: Sequence[StagingError]) -> StagingError:
    """Return the error whose exit code a command ends with: what may pass counts least, then the highest code wins."""
    return max(errors, key=lambda error: (not error.retryable, error.exit_code))


def together(errors: Sequence[StagingError], *, what: str) -> StagingError:
    """Return one error that tells all of them, with the code of the worst; `what` is what they stand in the way of."""
    if len(errors) == 1:
        return errors[0]
    lines = "\n".join(f"  {error.detail}" for error in errors)
    return type(worst(errors))(f"{len(errors)} problems, {what}:\n{lines}")
