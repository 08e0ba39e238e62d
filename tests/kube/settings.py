"""What the cluster runs take from the environment; nothing else here reads it.

KUBECONFIG                  as for kubectl; the current context is the cluster
SPARK_STAGING_BUILD_IMAGE   a command that builds an image and loads it into the cluster:
                            COMMAND NAME CONTEXT [-f FILE] [--target STAGE] [--build-arg KEY=VALUE]...
                            without it docker, podman or buildah is used, and `kind load` for a kind cluster
SPARK_STAGING_BASE_IMAGE    base of all images; a Python 3.11 on Debian 12 (for Java 17)
SPARK_STAGING_IMAGE_PREFIX  put before image names, such as `registry.example/team/`, and pushed to
XDG_CACHE_HOME              where downloads and compiled jobs are kept
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.services.spark_distributions import cache_folder

REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class KubeSettings:
    """Where to build, and what is kept between runs."""

    build_command: tuple[str, ...]
    base_image: str | None
    image_prefix: str
    cache: Path


def read_settings() -> KubeSettings:
    """Read the environment, once."""
    environment = os.environ  # noqa: TID251 - this is the one place
    return KubeSettings(
        build_command=tuple(shlex.split(environment.get("SPARK_STAGING_BUILD_IMAGE", ""))),
        base_image=environment.get("SPARK_STAGING_BASE_IMAGE") or None,
        image_prefix=environment.get("SPARK_STAGING_IMAGE_PREFIX", ""),
        cache=cache_folder(),
    )


def environment_with(**changes: str) -> dict[str, str]:
    """Return the environment for a child process, with some variables set."""
    return {**os.environ, **changes}  # noqa: TID251 - this is the one place
