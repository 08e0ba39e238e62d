"""Bytes come from DataNodes: a NameNode names one that has them, by a redirect, which is followed once.

NameNodes take ten minutes to notice that a DataNode is gone.  So one that does not answer is left out of the question
(`excludedatanodes`), as long as there is another one.
"""

import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from resolver.sources.hdfs.namenodes import NameNodes, Question
from resolver.sources.hdfs.refusals import no_webhdfs, refused
from staging_io.http import Answer, HttpClient
from staging_protocol.errors import RefusedByPolicy, SourceUnavailable, StagingError

_REDIRECT: Final = 307
_MOST: Final = 3
"""DataNodes that are tried for one question; a block usually lies on three."""
_MAX_REDIRECT: Final = 16 * 1024
"""Bytes of a redirect's body that are read, so that the connection can be kept."""


class DataNodes:
    """Asks NameNodes what only DataNodes can answer; safe to use from several threads."""

    def __init__(self, namenodes: NameNodes, *, http: HttpClient) -> None:
        self._namenodes = namenodes
        self._http = http
        self._gone: frozenset[str] = frozenset()

    def ask(self, question: Question) -> Answer:
        """Return the answer of a DataNode (or of HttpFS, which has the bytes itself), whose status is 200.

        Raises:
            SourceUnavailable: no DataNode that has it answers.
            RefusedByPolicy: the redirect leads from https to http, or would show a token.
            StagingError: what another answer means.
        """
        failures: dict[str, SourceUnavailable] = {}
        gone = self._gone
        while True:
            try:
                answer = self._namenodes.ask(_leaving_out(gone, question))
            except StagingError as error:
                if not gone:
                    raise
                # Perhaps only because of those that are left out: from now on they are asked again.
                self._gone = gone = frozenset()
                if failures:
                    raise _first(failures) from error
                continue
            if answer.status != _REDIRECT:
                return answer
            place = self._place(answer, question)
            if place.netloc in failures or len(failures) == _MOST:
                raise _first(failures)
            try:
                return self._follow(place, question)
            except SourceUnavailable as error:
                failures[place.netloc] = error
                gone |= {_address(place)}
                self._gone |= gone

    def _place(self, answer: Answer, question: Question) -> SplitResult:
        with answer:
            answer.read(_MAX_REDIRECT)
        try:
            place = urlsplit(answer.headers.get("Location", ""))
            is_url = place.scheme in {"http", "https"} and bool(place.hostname) and place.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise no_webhdfs(name=question.name, asked=self._namenodes.active, why="it redirects to what is no URL")
        if place.scheme == "http" and self._namenodes.is_secure:
            msg = f"{question.name} is redirected from https to http"
            raise RefusedByPolicy(msg)
        self._namenodes.check_secrecy(place, name=question.name)
        return place

    def _follow(self, place: SplitResult, question: Question) -> Answer:
        answer = self._http.open("GET", place.geturl())
        if answer.status == 200:  # noqa: PLR2004 - RFC 9110, section 15.3.1
            return answer
        with answer:
            raise refused(
                answer, name=question.name, identity=self._namenodes.identity, asked=f"{place.scheme}://{place.netloc}"
            )


def _leaving_out(addresses: frozenset[str], question: Question) -> Question:
    if not addresses:
        return question
    parameters = {**question.parameters, "excludedatanodes": ",".join(sorted(addresses))}
    return msgspec.structs.replace(question, parameters=parameters)


def _address(place: SplitResult) -> str:
    """Return what a NameNode knows a DataNode by: its address; names and ports of HTTP tell it nothing."""
    host = place.hostname or ""
    try:
        return socket.gethostbyname(host)
    except OSError:  # behind a proxy names may be known to nobody else
        return host


def _first(failures: dict[str, SourceUnavailable]) -> SourceUnavailable:
    return next(iter(failures.values()))
