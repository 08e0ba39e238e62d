"""One run from nothing to finished jobs: images, server, job files, jobs.  Demo and tests both stand on this.

Each step says in a line what it is about to do, because some take a minute.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.kube.cluster import Cluster, Context, current_context
from tests.kube.images import Image, builder, product_image
from tests.kube.installation import Installation, installed
from tests.kube.job_files import PACKER, find_compiler, make_job_files
from tests.kube.probe import Finished, Job, run_job
from tests.kube.settings import SPARK_VERSIONS, KubeSettings
from tests.kube.spark import Spark, install_spark, spark_image

LANGUAGES: Final = ("java", "python")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Session:
    """A cluster with our server in it, and what jobs are made from."""

    context: Context
    installation: Installation
    sparks: tuple[tuple[Spark, Image], ...]
    folder: Path
    say: Say

    @property
    def cluster(self) -> Cluster:
        """The namespace of this session."""
        return self.installation.cluster

    def jobs(self) -> Iterator[Job]:
        """Make the files of each job, in Java and Python for each Spark."""
        interpreter = pack_interpreter(self.cluster, image=self.sparks[0][1].name)
        for spark, image in self.sparks:
            for language in LANGUAGES:
                folder = self.folder / f"{language}-{spark.version}"
                folder.mkdir()
                files = make_job_files(folder, language=language, spark=spark, interpreter=interpreter)
                yield Job(spark=spark, image=image, files=files)

    def run(self, job: Job) -> Finished:
        """Run one job to its end."""
        self.say(f"running {job.name} through spark-staging run -- spark-submit …")
        return run_job(job, installation=self.installation, context=self.context)


@contextlib.contextmanager
def session(*, settings: KubeSettings, say: Say, keep: bool = False) -> Iterator[Session]:
    """Prepare everything in a new namespace, and remove the namespace in the end unless it shall stay.

    Raises:
        MissingError: this machine or the cluster lacks something; nothing was made.
    """
    context = current_context()
    build = builder(settings=settings, context=context.name)
    find_compiler()
    sparks = tuple(_installed_sparks(settings, say=say))
    cluster = Cluster(f"spark-staging-demo-{secrets.token_hex(3)}")
    server, init = (product_image(program, settings=settings) for program in ("server", "init"))
    for image in (server, init, *(image for _, image in sparks if not cluster.nodes_have(image.name))):
        say(f"building {image.name}")
        build(image)
    say(f"installing the server into namespace {cluster.namespace} of {context.name}")
    with (
        TemporaryDirectory(prefix="spark-staging-jobs-") as folder,
        _namespace(cluster, keep=keep, say=say),
        installed(cluster, server=server, init=init) as installation,
    ):
        yield Session(context=context, installation=installation, sparks=sparks, folder=Path(folder), say=say)


def pack_interpreter(cluster: Cluster, *, image: str) -> bytes:
    """Return the Python of an image as an archive, packed in a pod of that image."""
    pod = "pack-interpreter"
    container = {"name": "python", "image": image, "command": ["sleep", "600"]}
    spec = {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=180s")
    packed = cluster.kubectl("exec", "--stdin", pod, "--", "python3", "-", stdin=PACKER.read_bytes())
    cluster.kubectl("delete", "pod", pod, "--now", "--wait=false")
    return packed


def _installed_sparks(settings: KubeSettings, *, say: Say) -> Iterator[tuple[Spark, Image]]:
    for version in SPARK_VERSIONS:
        say(f"stock Spark {version} from PyPI (kept in {settings.cache})")
        spark = install_spark(version, settings=settings)
        yield spark, spark_image(spark, settings=settings)


@contextlib.contextmanager
def _namespace(cluster: Cluster, *, keep: bool, say: Say) -> Iterator[None]:
    cluster.create_namespace()
    try:
        yield
    finally:
        if keep:
            say(f"namespace {cluster.namespace} stays; remove it with: kubectl delete namespace {cluster.namespace}")
        else:
            cluster.delete_namespace()
