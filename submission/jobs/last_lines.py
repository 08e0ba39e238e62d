"""The last lines of a failed driver's log."""

from collections.abc import Callable
from typing import Final

from staging_protocol.errors import StagingError
from staging_protocol.printable import printable
from submission.access.retrying import retried
from submission.jobs.pods import Pod, name_of, spark_container
from submission.kube.api import KubeApi

_LINES: Final = 20
_MOST_CHARACTERS: Final = 2000
"""Of one line; Spark's plans are longer, and the whole log has them."""

_SECONDS: Final = 10.0
"""For which a log that cannot be read is tried again."""


def show_last_lines(api: KubeApi, driver: Pod, *, say: Callable[[str], None]) -> None:
    """Tell the last lines, or why they cannot be told."""
    name, namespace = name_of(driver), str(driver["metadata"]["namespace"])

    def read() -> list[bytes]:
        return list(api.log(name, namespace=namespace, container=spark_container(driver), tail=_LINES))

    try:
        lines = retried(read, seconds=_SECONDS)
    except StagingError as error:
        say(f"its log cannot be shown: {error.detail}")
        return
    if lines:
        say(f"the last lines of its log (all: spark-staging logs {name} -n {namespace}):")
    for line in lines:
        say(f"  | {printable(line.decode(errors='replace').expandtabs())[:_MOST_CHARACTERS]}")
