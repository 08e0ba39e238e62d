"""Staged dependencies: `staged:///<kind>/<name>` is a file of the bundle that the manifest belongs to."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from resolver.sources.base import Reading, Source, Stat, Version
from resolver.sources.ranged import read_range, size_of, stat_of
from staging_io.http import Answer
from staging_io.refusals import problem_error
from staging_io.staging import StagingClient, files_path
from staging_protocol.errors import InvalidRequest, NotFound, SourceChanged, StagingError
from staging_protocol.tokens import BundleId
from staging_protocol.uris import DependencyUri

_MAX_PROBLEM: Final = 64 * 1024
"""Bytes of an error's body that are read; ours have a few hundred."""


class StagedSource:
    """Reads the files of one bundle."""

    def __init__(self, client: StagingClient, *, namespace: str, bundle: BundleId) -> None:
        self._client = client
        self._files = files_path(namespace, bundle)

    def stat(self, uri: DependencyUri) -> Stat:
        """Ask with HEAD; an error has no body there, so its status says all."""
        with self._send("HEAD", uri, {}) as answer:
            if answer.status == 404:  # noqa: PLR2004 - RFC 9110, section 15.5.5
                msg = f"{uri} is not in the bundle, or the token does not open it"
                raise NotFound(msg)
            if answer.status != 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
                raise problem_error(answer, b"")
            return stat_of(answer, size=size_of(answer))

    def read(
        self, uri: DependencyUri, *, version: Version | None, start: int, stop: int | None
    ) -> AbstractContextManager[Reading]:
        """Read with one ranged GET; the entity tag of the server is the digest."""
        return read_range(
            partial(self._send, "GET", uri),
            name=str(uri), version=version, start=start, stop=stop, refusal=partial(_refused, uri=uri),
        )  # fmt: skip

    def _send(self, method: str, uri: DependencyUri, headers: Mapping[str, str]) -> Answer:
        if uri.authority:
            msg = f"{uri} names a server; staged:///<kind>/<name> names a file of the manifest's own bundle"
            raise InvalidRequest(msg)
        return self._client.open(method, self._files + uri.path.lstrip("/"), headers=headers)


def _refused(answer: Answer, *, uri: DependencyUri) -> StagingError:
    if answer.status == 412:  # noqa: PLR2004 - RFC 9110, section 15.5.13
        return SourceChanged(f"{uri} changed while it was downloaded")
    return problem_error(answer, answer.read(_MAX_PROBLEM))


_: type[Source] = StagedSource
