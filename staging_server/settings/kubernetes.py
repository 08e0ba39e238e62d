"""The cluster whose objects keep bundles alive, and which says who asks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from staging_server.settings.group import Count, Group, Seconds


class Connect(StrEnum):
    """How the server reaches Kubernetes."""

    NO = "no"
    IN_CLUSTER = "in-cluster"
    KUBECONFIG = "kubeconfig"


class KubernetesSettings(Group):
    """The cluster that is asked about pods, owners, namespaces and callers."""

    connect: Connect = Connect.NO
    """`no`: bundles live by their time to live alone.  `in-cluster`: as the service account of the server's own pod.
    `kubeconfig`: as the user of a kubeconfig, for a server outside of the cluster."""

    kubeconfig: Path | None = None
    """File for `connect=kubeconfig`; default: `~/.kube/config`."""

    context: str | None = None
    """Context of the kubeconfig; default: its current one."""

    cluster: Annotated[str, Field(min_length=1, max_length=63)] = "local"
    """Name of the cluster in what the server stores.  Namespaces of another name are other tenants: do not change it
    while bundles live."""

    namespaces: tuple[str, ...] = ()
    """Namespaces that are served, as a JSON list; each is watched on its own, for which Roles in them are enough.
    Empty: all namespaces, by watches of the whole cluster, which need a ClusterRole."""

    page_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Objects on one page of a list; a page of 500 pods has a few MB."""

    connect_timeout: Seconds = 5.0
    """Time to connect to the API server."""

    request_timeout: Seconds = 20.0
    """Time for the answer to one request; for a list, to each page."""

    watch_timeout: Annotated[float, Field(ge=1)] = 120.0
    """Time after which the API server is asked to end a watch, which then goes on from where it was.  One that it has
    not ended `request_timeout` later is broken."""

    list_every: Seconds = 60.0
    """Least time between two lists of the same kind that are made to confirm that something is gone; ended bundles
    stay up to twice this longer."""

    look_every: Seconds = 60.0
    """Time between two looks at what cannot be watched: a kind of owner that is not installed, and with `namespaces`
    whether each of them is still the same."""

    longest_pause: Count = 60
    """Most seconds between two attempts to reach an API server that does not answer or refuses."""
