"""Checks of what pods need: the image of the init container, and a URL at which they reach the staging server."""

import socket
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from submission.doctor.findings import Finding, fail, ok, unknown, warn
from submission.doctor.machine import version_numbers
from submission.doctor.setup import Setup
from submission.pods.templates import is_loopback

_INSIDE: Final = (".svc", ".svc.cluster.local")


def init_image(setup: Setup) -> Finding:
    """Is the image of the init container one of this version?"""
    ours, image = version("spark-staging"), setup.settings.init_image
    if image is None:
        return warn(f"not set, so nodes pull spark-staging/init:{ours} from Docker Hub unless they have it")
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest:
        return ok(f"{image}, by its digest")
    if tag in {"", "latest"}:
        return warn(
            f"{image} has no fixed version: each pod asks the registry for the newest, which need not fit",
            fix=f"name a version, such as {name.removesuffix(':latest')}:{ours}",
        )
    theirs, own = version_numbers(tag.removeprefix("v")), version_numbers(ours)
    if len(theirs) < 2:  # noqa: PLR2004 - major and minor
        return unknown(f"the tag of {image} tells no version", fix=f"see that it was made from spark-staging {ours}")
    if theirs[0] != own[0] or abs(theirs[1] - own[1]) > 1:
        return fail(
            f"{image} does not fit this client, which is {ours}",
            fix=f"name an image of {ours}, or of one minor version before or after it, in SPARK_STAGING_INIT_IMAGE",
        )
    return ok(image)


def url_for_pods(setup: Setup) -> Finding:
    """Can pods reach the staging server at the URL that they are told?"""
    settings = setup.settings
    url = settings.pod_url or setup.info.pods.url
    told_by = "SPARK_STAGING_POD_URL" if settings.pod_url else "the server"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return fail(f"{url!r}, as {told_by} says, is not the URL of a server")
    if is_loopback(url):
        return fail(f"for a pod {url}, as {told_by} says, is the pod itself")
    if parts.scheme == "http" and not settings.allow_plain_http:
        return fail(
            f"pods would send their token in clear text to {url}, as {told_by} says",
            fix="let the server use https and say so (SPARK_STAGING_POD_URL); in a network that you trust: "
            "SPARK_STAGING_ALLOW_PLAIN_HTTP=true",
        )
    return _found(url, host=parts.hostname, told_by=told_by)


def _found(url: str, *, host: str, told_by: str) -> Finding:
    if host.endswith(_INSIDE):
        return ok(f"{url}, as {told_by} says: a Service, known in the cluster")
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return warn(
            f"{url}, as {told_by} says: {host} has no address here, and perhaps none in the cluster",
            fix="see that pods find it: kubectl run --rm -it --image=busybox dns -- nslookup " + host,
        )
    return ok(f"{url}, as {told_by} says")
