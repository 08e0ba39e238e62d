"""Questions to Google's JSON API, asked as whoever may ask for the bucket.

A token that is refused although its time is not over is replaced once: it may have been revoked, or a key exchanged.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from resolver.sources.gcs.buckets import Bucket, bucket_of, objects_url
from resolver.sources.gcs.credentials import Credentials
from resolver.sources.gcs.refusals import refused
from resolver.sources.outside import Outside
from staging_io.http import Answer, goes_in_clear_text
from staging_protocol.errors import RefusedByPolicy, StagingError
from staging_protocol.uris import DependencyUri

GET_RIGHT: Final = "storage.objects.get"
LIST_RIGHT: Final = "storage.objects.list"


class Api:
    """The objects of all buckets."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._credentials = Credentials(outside)
        self._buckets: dict[str, Bucket] = {}

    def get(
        self, bucket: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer for `path` below the objects of `bucket`, whatever its status."""
        place = self._bucket(bucket)
        payer = {} if place.user_project is None else {"userProject": place.user_project}
        url = f"{objects_url(place, bucket)}{path}?{urlencode({**query, **payer})}"
        http, tokens, own = self._outside.http, self._credentials.of(place), headers or {}
        if tokens is None:
            return http.open("GET", url, headers=own)
        self._check_way(url)
        shown = tokens.headers()
        answer = http.open("GET", url, headers={**own, **shown})
        if answer.status != 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2
            return answer
        answer.close()
        tokens.reject(shown)
        return http.open("GET", url, headers={**own, **tokens.headers()})

    def refused(self, answer: Answer, *, uri: DependencyUri, right: str) -> StagingError:
        """Return the error for an answer that is none."""
        tokens = self._credentials.of(self._bucket(uri.authority or ""))
        return refused(answer, uri=uri, right=right, identity=None if tokens is None else tokens.describe)

    def identity(self, bucket: str) -> str:
        """Return as whom `bucket` is asked."""
        tokens = self._credentials.of(self._bucket(bucket))
        return "anonymous" if tokens is None else tokens.describe()

    def _bucket(self, name: str) -> Bucket:
        if name not in self._buckets:
            outside = self._outside
            self._buckets[name] = bucket_of(name, settings=outside.settings.gcs, environment=outside.environment)
        return self._buckets[name]

    def _check_way(self, url: str) -> None:
        parts = urlsplit(url)
        if goes_in_clear_text(parts) and not self._outside.settings.allow_plain_http:
            msg = f"refusing to send a token to {parts.scheme}://{parts.hostname} in clear text; use https"
            raise RefusedByPolicy(msg)
