"""The NameNodes of one nameservice: the active one answers, wherever it is now.

Which one is active is found by asking, and remembered.  One that is a standby, starts, or does not answer makes us ask
the next one; that is a choice among addresses, no second try.  With several, each gets little time to answer, so that
one that hangs costs seconds; with one only, the usual time-outs hold.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from resolver.sources.hdfs.nameservices import Nameservice
from resolver.sources.hdfs.refusals import refused
from resolver.sources.hdfs.tokens import read_token
from staging_io.http import Answer, HttpClient, goes_in_clear_text
from staging_protocol.errors import RefusedByPolicy, SourceUnavailable, TransientError

PATIENCE: Final = 10.0
"""Seconds without a byte after which another NameNode is asked: long collections of garbage are shorter."""

_ANSWERED: Final = frozenset({200, 307})
"""What it is, or where a DataNode has it (WebHDFS REST API, "HTTP Response Codes" and redirections)."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of HDFS: an operation on a path, for the dependency that messages call `name`."""

    operation: str
    path: str
    name: str
    parameters: Mapping[str, str | int] = {}


class NameNodes:
    """Asks; safe to use from several threads."""

    def __init__(self, service: Nameservice, *, http: HttpClient, allow_plain_http: bool) -> None:
        """`http` has time-outs that suit the number of NameNodes."""
        self._service = service
        self._http = http
        self._allow_plain_http = allow_plain_http
        self._active = 0

    @property
    def identity(self) -> str:
        """As whom they are asked."""
        return self._service.identity

    def ask(self, question: Question) -> Answer:
        """Return the answer of the active one, which is 200 or 307; the caller closes it.

        Raises:
            SourceUnavailable: none of them is active now; the message tells what each said.
            StagingError: what its answer means.
        """
        count, first = len(self._service.urls), self._active
        failures: list[TransientError] = []
        for at in [(first + step) % count for step in range(count)]:
            try:
                answer = self._ask(self._service.urls[at], question)
            except TransientError as error:
                failures.append(error)
                continue
            self._active = at
            return answer
        if count == 1:
            raise failures[0]
        said = "; ".join(error.detail.removeprefix(f"{question.name}: ") for error in failures)
        msg = f"{question.name}: no NameNode of {self._service.name} serves now: {said}"
        raise SourceUnavailable(msg, retry_after=failures[0].retry_after) from failures[0]

    @property
    def active(self) -> str:
        """URL of the one that answered last."""
        return self._service.urls[self._active]

    @property
    def is_secure(self) -> bool:
        """Whether one of them is asked over TLS: then nothing may lead out of it."""
        return any(url.startswith("https:") for url in self._service.urls)

    def check_secrecy(self, parts: SplitResult, *, name: str) -> None:
        """Check that a URL with our token in it does not go in clear text to another machine.

        Raises:
            RefusedByPolicy: it does, and no setting allows it.
        """
        if self._service.token_file is not None and goes_in_clear_text(parts) and not self._allow_plain_http:
            msg = (
                f"{name}: refusing to send a delegation token to {parts.scheme}://{parts.hostname} in clear text; "
                "use swebhdfs or https, or set allow_plain_http in a network that you trust"
            )
            raise RefusedByPolicy(msg)

    def _ask(self, base: str, question: Question) -> Answer:
        self.check_secrecy(urlsplit(base), name=question.name)
        answer = self._http.open("GET", f"{base}/webhdfs/v1{quote(question.path)}?{self._query(question)}")
        if answer.status in _ANSWERED:
            return answer
        with answer:
            raise refused(answer, name=question.name, identity=self.identity, asked=base)

    def _query(self, question: Question) -> str:
        service = self._service
        who: dict[str, str] = {}
        if service.token_file is not None:
            who["delegation"] = read_token(service.token_file, nameservice=service.name)
        elif service.user is not None:
            who["user.name"] = service.user
        return urlencode({"op": question.operation, **who, **question.parameters}, quote_via=quote)
