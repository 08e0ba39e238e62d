"""The folder of prometheus-client, which has it from a variable of its own in the environment."""

import os
from pathlib import Path


def share_metrics(folder: Path | None) -> None:
    """Let prometheus-client, which is not imported yet, keep its numbers in files that several processes add to.

    None lets it keep them to itself, also when somebody has set its variable for another program.
    """
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # noqa: TID251 - settings read the environment
    if folder is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # noqa: TID251 - settings read the environment


def shared_metrics() -> Path | None:
    """Return the folder of `share_metrics`, also in a child of the process that called it."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - settings read the environment
    return None if folder is None else Path(folder)
