"""Staged dependencies: `staged:///<kind>/<name>` is a file of the bundle that the manifest belongs to."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from resolver.sources.base import Reading, Source, Stat, Version
from resolver.sources.ranged import read_range, size_of, stat_of
from staging_io.http import Answer, HttpClient
from staging_io.staging import StagingClient, problem_error
from staging_protocol.errors import InvalidRequest, NotFound, SourceChanged, StagingError
from staging_protocol.tokens import BundleId
from staging_protocol.uris import DependencyUri

_MAX_PROBLEM: Final = 64 * 1024
"""Bytes of an error's body that are read; ours have a few hundred."""


class StagedSource:
    """Reads the files of one bundle."""

    def __init__(self, client: StagingClient, *, http: HttpClient, namespace: str, bundle: BundleId) -> None:
        self._client = client
        self._http = http
        self._namespace = namespace
        self._bundle = bundle

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

    @contextmanager
    def _send(self, method: str, uri: DependencyUri, headers: Mapping[str, str]) -> Iterator[Answer]:
        if uri.authority:
            msg = f"{uri} names a server; staged:///<kind>/<name> names a file of the manifest's own bundle"
            raise InvalidRequest(msg)
        url, authorization = self._client.file_request(self._namespace, self._bundle, uri.path.lstrip("/"))
        with self._http.open(method, url, headers={**headers, **authorization}) as answer:
            yield answer


def _refused(answer: Answer, *, uri: DependencyUri) -> StagingError:
    if answer.status == 412:  # noqa: PLR2004 - RFC 9110, section 15.5.13
        return SourceChanged(f"{uri} changed while it was downloaded")
    return problem_error(answer, answer.read(_MAX_PROBLEM))


_: type[Source] = StagedSource
