"""The cluster of a person's kubeconfig, for commands about jobs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from submission.kube.api import KubeApi
from submission.kube.connect import kube_api
from submission.settings import kubeconfig

if TYPE_CHECKING:
    from submission.settings import Settings


@contextmanager
def jobs_cluster(
    settings: "Settings", *, master: str | None = None, notice: Callable[[str], None] | None = None
) -> Iterator[KubeApi]:
    """Yield the API of the cluster; `master` is Spark's, where a command names one."""
    with kube_api(
        kubeconfig=kubeconfig(),
        context=settings.context,
        master=master,
        retry_seconds=settings.retry_seconds,
        notice=notice,
    ) as api:
        yield api
