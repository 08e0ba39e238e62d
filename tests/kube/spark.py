"""The image for the pods from stock Spark of PyPI, which `spark-submit` on this machine comes from too."""

import hashlib
import os
import shutil
from pathlib import Path

from tests.kube.images import Image, base_of
from tests.kube.settings import KubeSettings
from tests.services.spark_distributions import Spark

IMAGE_FOLDER = Path(__file__).parent / "spark_image"
IMAGE_PARTS = ("bin", "sbin", "jars", "python", "licenses")
"""What of the package makes a Spark installation; the rest is the Python side, which `python/lib` holds zipped."""


def spark_image(spark: Spark, *, settings: KubeSettings, packages: tuple[str, ...] = ()) -> Image:
    """Return the image for the pods, with further packages of Debian; its context is laid out in the cache folder."""
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
        name=f"{settings.image_prefix}spark-staging/spark:{spark.version}-{_digest_of_recipe(settings, packages)}",
        context=context,
        dockerfile=context / "Dockerfile",
        build_args={
            "SPARK_VERSION": spark.version,
            **({"PACKAGES": " ".join(packages)} if packages else {}),
            **base_of(settings),
        },
    )


def _digest_of_recipe(settings: KubeSettings, packages: tuple[str, ...]) -> str:
    """Tell images of the same Spark apart, so that an image that nodes have is the one that would be built."""
    recipe = hashlib.sha256(" ".join((str(settings.base_image), *packages)).encode())
    for file in sorted(IMAGE_FOLDER.iterdir()):
        recipe.update(file.read_bytes())
    return recipe.hexdigest()[:8]
