"""Requests to S3: where they go, signed by whom, and the second one that a refusal may ask for.

A bucket of another region is asked there, from then on; a key that S3 does not take any more is looked for anew, once.
Neither is a retry of something that failed: it is what S3 answers to whoever knows less than it does.  A signature is
made for one host and goes to no other.  It holds no secret, so it may go over plain HTTP; a session token may not.
"""

import threading
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from resolver.sources.outside import Outside
from resolver.sources.s3.buckets import Bucket, Identity, bucket_of
from resolver.sources.s3.chain import Chain
from resolver.sources.s3.keys import AccessKey, KeyFiles, Keys, Nobody
from resolver.sources.s3.objects import S3Object
from resolver.sources.s3.places import AwsConfig, Place, place_of
from resolver.sources.s3.refusals import STALE, RefusalOfS3, error_of, read_refusal
from resolver.sources.s3.signing import encoded_query, signed
from staging_io.http import Answer
from staging_protocol.errors import RefusedByPolicy

_TRIES: Final = 4
"""Requests for one question: another region, a redirect in it, and another key."""

_ANSWERS: Final = frozenset({200, 206, 412, 416})
"""Statuses that whoever asks makes something of."""


_UNEXPLAINED: Final = frozenset({301, 307, 400, 403, 404, 405})
"""Statuses that stand for several things."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request before it is signed; `headers` have lower-case names, `name` is told in errors."""

    method: str
    what: S3Object
    name: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class Asking:
    """Asks for objects of any bucket.  Safe to use from several threads."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._keys: dict[Identity, Keys] = {}
        self._places: dict[str, Place] = {}

    def open(self, question: Question) -> Answer:
        """Ask, and return an answer of 200 or 206, or of 412 or 416.

        Raises:
            StagingError: what another answer stands for, or what there is no key for.
        """
        bucket = self._bucket(question.what)
        keys, place = self._keys_of(bucket.identity), self._place_of(bucket)
        key, is_fresh = keys.current(), False
        for _ in range(_TRIES):
            answer = self._send(question, bucket=bucket, place=place, key=key)
            if answer.status in _ANSWERS:
                return answer
            refusal = self._refusal(answer, question, bucket=bucket, place=place, key=key)
            if (other := self._moved(refusal, bucket=bucket, place=place)) is not None:
                place = other
            elif key and refusal.code in STALE and not is_fresh and (fresh := keys.renewed(key)) is not None:
                key, is_fresh = fresh, True
            else:
                break
        raise error_of(refusal, name=question.name, identity=keys.describe())

    def identity(self, what: S3Object) -> str:
        """Return who asks."""
        return self._keys_of(self._bucket(what).identity).describe()

    def _send(self, question: Question, *, bucket: Bucket, place: Place, key: AccessKey | None) -> Answer:
        what, headers = question.what, dict(question.headers)
        if bucket.requester_pays:
            headers["x-amz-request-payer"] = "requester"
        path, query = place.path(what), encoded_query({**what.query, **question.query})
        if key is not None:
            if key.session_token is not None and place.in_clear_text and not self._outside.settings.allow_plain_http:
                msg = f"refusing to send a session token to {place.origin} in clear text; use https"
                raise RefusedByPolicy(msg)
            headers = signed(
                headers, key=key, method=question.method, host=place.host, path=path, query=query,
                region=place.region, now=time.time(),
            )  # fmt: skip
        url = f"{place.origin}{path}{'?' if query else ''}{query}"
        return self._outside.http.open(question.method, url, headers=headers)

    def _refusal(
        self, answer: Answer, question: Question, *, bucket: Bucket, place: Place, key: AccessKey | None
    ) -> RefusalOfS3:
        """Read a refusal; the answer to HEAD says no reason, so one byte is asked for to hear it."""
        refusal = read_refusal(answer, name=question.name)
        says_all = refusal.region not in {None, place.region} or refusal.status not in _UNEXPLAINED
        if question.method != "HEAD" or says_all:
            return refusal
        in_words = msgspec.structs.replace(question, method="GET", headers={**question.headers, "range": "bytes=0-0"})
        again = self._send(in_words, bucket=bucket, place=place, key=key)
        if again.status in _ANSWERS:
            again.close()
            return refusal
        return read_refusal(again, name=question.name)

    def _moved(self, refusal: RefusalOfS3, *, bucket: Bucket, place: Place) -> Place | None:
        """Return where else to ask, when S3 says that: another region counts from now on, a redirect only once."""
        if refusal.region not in {None, place.region}:
            found = place_of(bucket, config=self._config_of(bucket), region=refusal.region)
            self._places[bucket.name] = found
            return found
        other = place.redirected(refusal.location) if refusal.location else None
        return None if other == place else other

    def _bucket(self, what: S3Object) -> Bucket:
        found = self._buckets.get(what.bucket)
        if found is None:
            found = self._buckets[what.bucket] = bucket_of(what.bucket, settings=self._outside.settings.s3)
        return found

    def _place_of(self, bucket: Bucket) -> Place:
        found = self._places.get(bucket.name)
        if found is None:
            found = self._places[bucket.name] = place_of(bucket, config=self._config_of(bucket))
        return found

    def _config_of(self, bucket: Bucket) -> AwsConfig:
        if bucket.endpoint is not None and (bucket.region is not None or bucket.identity.anonymous):
            return AwsConfig()  # all is said, and botocore need not be loaded
        keys = self._keys_of(bucket.identity)
        chain = keys if isinstance(keys, Chain) else self._keys_of(Identity())
        return chain.config() if isinstance(chain, Chain) else AwsConfig()

    def _keys_of(self, identity: Identity) -> Keys:
        found = self._keys.get(identity)
        if found is not None:
            return found
        with self._lock:  # two chains would ask twice
            return self._keys.setdefault(identity, _keys(identity, self._outside))


def _keys(identity: Identity, outside: Outside) -> Keys:
    if identity.anonymous:
        return Nobody()
    if identity.access_key is not None:
        return KeyFiles(identity.access_key, place=outside.secret_file, read=outside.secret)
    file = None if identity.credentials is None else outside.secret_file(identity.credentials)
    return Chain(outside.connection, profile=identity.profile, credentials=file)
