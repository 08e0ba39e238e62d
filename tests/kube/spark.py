"""Stock Spark from PyPI: `spark-submit` for this machine, and the image for the pods, from one download.

PyPI's pyspark holds a whole Spark.  Each version gets a virtual environment of its own in the cache folder.
"""

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.kube.images import Image, base_of
from tests.kube.processes import find_program, run
from tests.kube.settings import KubeSettings

IMAGE_FOLDER = Path(__file__).parent / "spark_image"
IMAGE_PARTS = ("bin", "sbin", "jars", "python", "licenses")
"""What of the package makes a Spark installation; the rest is the Python side, which `python/lib` holds zipped."""


@dataclass(frozen=True)
class Spark:
    """One installed version."""

    version: str
    home: Path

    @property
    def submit(self) -> str:
        """Path of the stock `spark-submit`."""
        return str(self.home / "bin" / "spark-submit")

    @property
    def class_path(self) -> str:
        """What a Java job is compiled against."""
        return str(self.home / "jars" / "*")


def install_spark(version: str, *, settings: KubeSettings) -> Spark:
    """Return Spark of that version, downloaded at the first call."""
    find_program("java", hint="stock spark-submit needs Java 17 on this machine (Debian: openjdk-17-jdk-headless)")
    folder = settings.cache / f"spark-{version}"
    ready = folder / "complete"
    if not ready.exists():
        run(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "--no-compile", "--no-deps", f"pyspark=={version}", timeout=1800)
        ready.touch()
    return Spark(version=version, home=next(folder.glob("lib/python*/site-packages/pyspark")))


def spark_image(spark: Spark, *, settings: KubeSettings) -> Image:
    """Return the image for the pods; its build context is laid out in the cache folder."""
    context = settings.cache / f"spark-image-{spark.version}"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for part in IMAGE_PARTS:
        # Hard links: half a gigabyte need not be there twice.
        shutil.copytree(spark.home / part, context / "spark" / part, copy_function=os.link)
    # Wheels that pip builds itself lose the permission to execute.
    for script in (context / "spark").glob("*bin/*"):
        script.chmod(0o755)
    for file in IMAGE_FOLDER.iterdir():
        shutil.copy(file, context)
    return Image(
        name=f"{settings.image_prefix}spark-staging/spark:{spark.version}-{_digest_of_recipe(settings)}",
        context=context,
        dockerfile=context / "Dockerfile",
        build_args={"SPARK_VERSION": spark.version, **base_of(settings)},
    )


def _digest_of_recipe(settings: KubeSettings) -> str:
    """Tell images of the same Spark apart, so that an image that nodes have is the one that would be built."""
    recipe = hashlib.sha256(str(settings.base_image).encode())
    for file in sorted(IMAGE_FOLDER.iterdir()):
        recipe.update(file.read_bytes())
    return recipe.hexdigest()[:8]
