"""One digest of all that is submitted, by which the same submission is known again."""

import threading
from collections.abc import Mapping
from typing import Final

import msgspec

from staging_protocol.digests import Digest
from staging_protocol.pod_contract import Role
from submission.classify import Dependency, Known
from submission.job_plan import Plan
from submission.pods.templates import own_template
from submission.progress.telling import Progress
from submission.settings import Settings
from submission.staging.digest_cache import DigestCache
from submission.staging.hashing import hashed
from submission.staging.local_files import found

_VERSION: Final = 1
"""Of what is digested; another one makes other digests."""


def inputs_digest(plan: Plan, *, known: Mapping[Dependency, Known], settings: Settings, progress: Progress) -> str:
    """Return the digest of properties, arguments, templates, and the content of files.

    Remote dependencies count by their URI, and by their digest where that is known.

    Raises:
        StagingError: a file cannot be read.
    """
    classified, local = found(plan.dependencies)
    files = hashed(local, cache=DigestCache(settings.cache_folder), progress=progress, stop=threading.Event())
    command = plan.submission.command
    whole = {
        "version": _VERSION,
        "namespace": plan.namespace,
        "properties": plan.properties,
        "main": command.main,
        "class": command.last("--class"),
        "proxy_user": command.last("--proxy-user"),
        "arguments": command.arguments,
        "spark": str(plan.spark),
        "files": [(one.file.dependency.kind, str(one.file.dependency.target), str(one.digest)) for one in files],
        "remote": [(one.kind, one.uri.text, str((known.get(one) or Known()).digest)) for one in classified.remote],
        "templates": {role: own_template(role, properties=plan.properties).content for role in Role},
    }
    return str(Digest.of(msgspec.json.encode(whole, order="sorted")))
