"""One run from nothing to finished jobs: images, server, job files, jobs.  Demo and tests both stand on this."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from tests.kube.cluster import Cluster
from tests.kube.installation import Installation, installed
from tests.kube.probe import Finished, Job, run_job
from tests.kube.workshop import Workshop


@dataclass(frozen=True, kw_only=True)
class Session:
    """A cluster with our server in it, and what jobs are made from."""

    workshop: Workshop
    installation: Installation

    @property
    def cluster(self) -> Cluster:
        """The namespace of this session."""
        return self.installation.cluster

    def jobs(self) -> Iterator[Job]:
        """Make the files of each job, in Java and Python for each Spark."""
        return self.workshop.jobs(self.cluster)

    def run(self, job: Job) -> Finished:
        """Run one job to its end."""
        self.workshop.say(f"running {job.name} through spark-staging run -- spark-submit …")
        return run_job(job, installation=self.installation, context=self.workshop.context)


@contextlib.contextmanager
def session(workshop: Workshop, *, keep: bool = False) -> Iterator[Session]:
    """Install the server in a new namespace, and remove the namespace in the end unless it shall stay."""
    cluster = Cluster(f"spark-staging-demo-{secrets.token_hex(3)}")
    workshop.say(f"installing the server into namespace {cluster.namespace} of {workshop.context.name}")
    with (
        _namespace(cluster, keep=keep, workshop=workshop),
        installed(cluster, server=workshop.server, init=workshop.init) as installation,
    ):
        yield Session(workshop=workshop, installation=installation)


@contextlib.contextmanager
def _namespace(cluster: Cluster, *, keep: bool, workshop: Workshop) -> Iterator[None]:
    cluster.create_namespace()
    try:
        yield
    finally:
        if keep:
            again = f"kubectl delete namespace {cluster.namespace}"
            workshop.say(f"namespace {cluster.namespace} stays; remove it with: {again}")
        else:
            cluster.delete_namespace()
