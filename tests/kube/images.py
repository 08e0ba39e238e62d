"""Builds images and brings them to the cluster, with whatever program this machine has for it.

The product's images and the Spark images are plain Dockerfiles.  How a built image reaches the nodes differs: a command
of the user's own does both (`SPARK_STAGING_BUILD_IMAGE`), a kind cluster is loaded, a registry is pushed to.
"""

import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kube.processes import MissingError, run
from tests.kube.settings import REPOSITORY, KubeSettings

KIND_CONTEXT = "kind-"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image to build; `name` is what pods will say."""

    name: str
    context: Path
    dockerfile: Path
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> list[str]:
        """Return the options that all builders share."""
        chosen = ["-f", str(self.dockerfile)]
        if self.target is not None:
            chosen += ["--target", self.target]
        for key, value in self.build_args.items():
            chosen += ["--build-arg", f"{key}={value}"]
        return chosen


def product_image(program: str, *, settings: KubeSettings) -> Image:
    """Return the image of a program (`server`, `init`), to be built from this checkout."""
    # Nodes pull a tag from a registry once; what is loaded into them replaces what they have.
    tag = secrets.token_hex(4) if settings.image_prefix else "dev"
    return Image(
        name=f"{settings.image_prefix}spark-staging/{program}:{tag}",
        context=REPOSITORY,
        dockerfile=REPOSITORY / "deploy" / "Dockerfile",
        target=program,
        build_args=base_of(settings),
    )


def base_of(settings: KubeSettings) -> dict[str, str]:
    """Return the build argument for another base image, if one was asked for."""
    return {} if settings.base_image is None else {"BASE": settings.base_image}


def builder(*, settings: KubeSettings, context: str) -> Callable[[Image], None]:
    """Choose how images are built for the cluster of a kubeconfig context.

    Raises:
        MissingError: there is no way to build, or none to bring an image to this cluster.
    """
    if settings.build_command:
        return lambda image: _build_with_command(image, command=settings.build_command)
    engine = next((name for name in ("docker", "podman", "buildah") if shutil.which(name)), None)
    if engine is None:
        raise MissingError("no image builder: install docker, podman or buildah, or set SPARK_STAGING_BUILD_IMAGE")
    if settings.image_prefix:
        return lambda image: _build_and_push(image, engine=engine)
    if context.startswith(KIND_CONTEXT) and shutil.which("kind"):
        return lambda image: _build_for_kind(image, engine=engine, cluster=context.removeprefix(KIND_CONTEXT))
    msg = (
        f"no way to bring an image to the cluster of context {context!r}: use a kind cluster, set"
        " SPARK_STAGING_IMAGE_PREFIX to a registry that its nodes pull from, or SPARK_STAGING_BUILD_IMAGE to a command"
    )
    raise MissingError(msg)


def _build_with_command(image: Image, *, command: tuple[str, ...]) -> None:
    run(*command, image.name, str(image.context), *image.options(), timeout=1800)


def _build(image: Image, *, engine: str) -> None:
    run(engine, "build", "--tag", image.name, *image.options(), str(image.context), timeout=1800)


def _build_and_push(image: Image, *, engine: str) -> None:
    _build(image, engine=engine)
    run(engine, "push", image.name, timeout=1800)


def _build_for_kind(image: Image, *, engine: str, cluster: str) -> None:
    _build(image, engine=engine)
    with TemporaryDirectory(prefix="spark-staging-image-") as folder:
        archive = f"{folder}/image.tar"
        if engine == "buildah":
            run("buildah", "push", image.name, f"docker-archive:{archive}:{image.name}")
        else:
            run(engine, "save", "--output", archive, image.name)
        run("kind", "load", "image-archive", archive, "--name", cluster)
