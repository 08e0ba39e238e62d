"""Checks of what belongs to Spark: the command, its configuration, its version, its image."""

import re
from typing import Final

from submission.doctor.findings import Finding, fail, ok, unknown
from submission.doctor.setup import Setup
from submission.spark.conf import SparkVersion

_IMAGE: Final = "spark.kubernetes.container.image"
_VERSION_TAG: Final = re.compile(r"v?(\d+\.\d+(?:\.\d+)?)")


def configuration(setup: Setup) -> Finding:
    """Is the folder of `spark-defaults.conf` there?"""
    home, conf = setup.environment.spark_home, setup.environment.spark_conf
    if conf is not None and not conf.is_dir():
        return fail(f"SPARK_CONF_DIR names {conf}, which is not a folder")
    if home is not None and not home.is_dir():
        return fail(f"SPARK_HOME names {home}, which is not a folder", fix="correct SPARK_HOME, or unset it")
    folder = conf or (None if home is None else home / "conf")
    if folder is None:
        return ok("neither SPARK_CONF_DIR nor SPARK_HOME is set: options alone count")
    defaults = folder / "spark-defaults.conf"
    if not defaults.is_file():
        return ok(f"{folder}, without spark-defaults.conf")
    try:
        defaults.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return fail(f"{defaults} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}")
    return ok(str(defaults))


def command(setup: Setup) -> Finding:
    """Can the command be understood?"""
    if setup.given.command_error is not None:
        return fail(setup.given.command_error.detail)
    if setup.job is None:
        return ok("none was given: what any job needs is looked at")
    mode = "cluster" if setup.job.submission.is_cluster else "client"
    return ok(f"{setup.job.application}, in {mode} mode, to namespace {setup.namespace}")


def version(setup: Setup) -> Finding:
    """Is the version of Spark known, and supported?"""
    from submission.spark.installation import any_installation, installation

    if setup.drives_here:
        return ok(f"client mode runs {installation('spark-submit', setup.environment).program}")
    if setup.given.spark_version is not None:
        return ok(f"Spark {SparkVersion.parse(setup.given.spark_version)}, as --spark-version says")
    installed, image = any_installation(setup.environment).version, _image(setup)
    of_image = None if image is None else _version_of(image)
    if installed is not None:
        return ok(f"Spark {installed}, as installed here")
    if of_image is not None:
        return ok(f"Spark {of_image}, by the name of the image {image}")
    return unknown("nothing tells which version of Spark the image has")


def image(setup: Setup) -> Finding:
    """Is an image of Spark named?"""
    found = _image(setup)
    if found is not None:
        return ok(found)
    if setup.job is None:
        return unknown("no image was given", fix="give --image IMAGE, or the arguments of a submission behind --")
    return fail("the command names no image with Spark in it")


def _image(setup: Setup) -> str | None:
    return setup.given.image or next(
        (found for key in ("spark.kubernetes.driver.container.image", _IMAGE) if (found := setup.properties.get(key))),
        None,
    )


def _version_of(image: str) -> SparkVersion | None:
    """Return the version that the name of an image tells.

    Raises:
        InvalidRequest: it is too old.
    """
    from submission.spark.installation import version_of_image

    repository, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    match = _VERSION_TAG.match(tag) if "spark" in repository.lower() else None
    return version_of_image(image) or (None if match is None else SparkVersion.parse(match[1]))
