"""What jobs and servers are made from: stock Sparks, images on the nodes, and the probe jobs' files.

Each step says in a line what it is about to do, because some take a minute.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.kube.cluster import Cluster, Context, current_context
from tests.kube.images import Image, builder, product_image
from tests.kube.job_files import PACKER, find_compiler, make_job_files
from tests.kube.probe import Job
from tests.kube.processes import MissingError
from tests.kube.settings import KubeSettings
from tests.kube.spark import spark_image
from tests.services.spark_distributions import SPARK_VERSIONS, Spark, SparkMissingError, install_spark

LANGUAGES: Final = ("java", "python")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A cluster that has all images; nothing is installed in it yet."""

    context: Context
    server: Image
    init: Image
    sparks: tuple[tuple[Spark, Image], ...]
    folder: Path
    say: Say
    build: Callable[[Image], None]

    def bring(self, image: Image) -> None:
        """Build an image and bring it to the nodes, unless they have it."""
        if not Cluster("default").nodes_have(image.name):
            self.say(f"building {image.name}")
            self.build(image)

    def jobs(self, cluster: Cluster) -> Iterator[Job]:
        """Make the files of each job, in Java and Python for each Spark; a pod in the namespace helps."""
        interpreter = pack_interpreter(cluster, image=self.sparks[0][1].name)
        for spark, image in self.sparks:
            for language in LANGUAGES:
                folder = self.folder / f"{cluster.namespace}-{language}-{spark.version}"
                folder.mkdir()
                files = make_job_files(folder, language=language, spark=spark, interpreter=interpreter)
                yield Job(spark=spark, image=image, files=files)


@contextlib.contextmanager
def workshop(*, settings: KubeSettings, say: Say) -> Iterator[Workshop]:
    """Install the Sparks, build the images and bring them to the cluster.

    Raises:
        MissingError: this machine or the cluster lacks something.
    """
    context = current_context()
    build = builder(settings=settings, context=context.name)
    find_compiler()
    sparks = tuple(_installed_sparks(settings, say=say))
    anywhere = Cluster("default")
    server, init = (product_image(program, settings=settings) for program in ("server", "init"))
    for image in (server, init, *(image for _, image in sparks if not anywhere.nodes_have(image.name))):
        say(f"building {image.name}")
        build(image)
    with TemporaryDirectory(prefix="spark-staging-jobs-") as folder:
        yield Workshop(
            context=context, server=server, init=init, sparks=sparks, folder=Path(folder), say=say, build=build
        )


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
        try:
            spark = install_spark(version)
        except SparkMissingError as error:
            raise MissingError(str(error)) from error
        yield spark, spark_image(spark, settings=settings)
