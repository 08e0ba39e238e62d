"""Which dependencies may be fetched, and from where: the egress rules of `sources.json`.

It is a guard against mistakes and manipulated manifests; NetworkPolicy is the wall.  Rules are asked three times: for a
dependency's URI before anything is downloaded (scheme, host, bucket), for the host of every request and redirect, and
for every address that a connection would go to.

Hosts that the settings name (endpoints, NameNodes, mirrors) were chosen by an operator: they count as allowed, by name
and by address, unless `hosts.deny` has them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from resolver.networks import NetworkRules, written_address
from staging_io.exchange import Admission, authority_of
from staging_protocol.errors import InvalidRequest, RefusedByPolicy
from staging_protocol.sources import Allowed, SourceSettings
from staging_protocol.uris import STAGED_SCHEME, DependencyUri

_WITH_BUCKETS: Final = frozenset({"s3", "s3a", "s3n", "gs"})
_WEB: Final = frozenset({"http", "https"})
_METADATA: Final = frozenset(
    {"metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"}
)
"""Names by which clouds give credentials; their addresses are refused too, but behind a proxy only names are known."""

_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST")
_MOST_HOSTS: Final = 1000
"""Hosts, and beginnings of URIs, that are remembered as admitted."""


class EgressPolicy:
    """The rules; safe to use from several threads."""

    def __init__(self, settings: SourceSettings, *, environment: Mapping[str, str]) -> None:
        """Take the rules, and the environment for the endpoints that it names.

        Raises:
            InvalidRequest: a network of the rules is none.
        """
        egress = settings.egress
        self._schemes = frozenset(scheme.lower() for scheme in egress.schemes)
        self._hosts = _Patterns(egress.hosts, field="egress.hosts", normal=_host)
        self._buckets = _Patterns(egress.buckets, field="egress.buckets", normal=str)
        self._networks = NetworkRules(egress.networks)
        self._named = frozenset(_named(settings, environment))
        self._nameservices = frozenset(settings.hdfs.nameservices)
        self._admitted: set[str] = set()
        self._fetched: set[tuple[str, str | None]] = set()

    def check_uri(self, uri: DependencyUri) -> None:
        """Raise RefusedByPolicy when `uri` may not be fetched: by its scheme, bucket, host or written address."""
        # What is asked below depends on these two alone, and a manifest may have ten thousand files of one host.
        place = (uri.scheme, uri.authority)
        if uri.scheme == STAGED_SCHEME or place in self._fetched:
            return
        self.check_scheme(uri.scheme, name=str(uri))
        authority = (uri.authority or "").rpartition("@")[2]
        if uri.scheme in _WITH_BUCKETS:
            self._buckets.check(authority, name=str(uri))
        elif authority and authority not in self._nameservices:
            url = _url(uri.scheme if uri.scheme in _WEB else "hdfs", authority, name=str(uri))
            self._check_host(url, name=str(uri))
        if len(self._fetched) < _MOST_HOSTS:
            self._fetched.add(place)

    def check_scheme(self, scheme: str, *, name: str) -> None:
        """Raise RefusedByPolicy when dependencies of `scheme` are not fetched; `name` is what it was written in."""
        if self._schemes and scheme not in self._schemes:
            msg = f"{name} is refused: egress.schemes of sources.json does not have {scheme!r}"
            raise RefusedByPolicy(msg)

    def check_url(self, url: SplitResult) -> None:
        """Raise RefusedByPolicy when no request may go to the host of `url`."""
        if url.netloc in self._admitted:
            return
        self._check_host(url, name=f"the host {url.hostname}")
        if len(self._admitted) < _MOST_HOSTS:
            self._admitted.add(url.netloc)

    def check_address(self, url: SplitResult, address: str) -> None:
        """Raise RefusedByPolicy when no connection may go to `address`, which the host of `url` has."""
        if authority_of(url) not in self._named:
            self._check_address(address, name=f"the host {url.hostname}")

    def _check_host(self, url: SplitResult, *, name: str) -> None:
        host, is_named = _host(url.hostname or ""), authority_of(url) in self._named
        self._hosts.check(host, name=name, is_allowed=is_named)
        if host in _METADATA and not (is_named or self._hosts.names(host)):
            msg = f"{name} is refused: clouds give credentials at {host}; only egress.hosts.allow can change that"
            raise RefusedByPolicy(msg)
        address = None if is_named else written_address(host)
        if address is not None:
            self._check_address(address, name=name)

    def _check_address(self, address: str, *, name: str) -> None:
        rule = self._networks.refusal(address)
        if rule is None:
            return
        if rule.is_built_in:
            why = f"is {rule.why}; if it shall be reached, add it to egress.networks.allow of sources.json"
        else:
            why = f"is in {rule.why}, which egress.networks.deny of sources.json has"
        msg = f"{name} is refused: its address {address} {why}"
        raise RefusedByPolicy(msg)


class _Patterns:
    """Shell patterns for one field."""

    def __init__(self, allowed: Allowed, *, field: str, normal: Callable[[str], str]) -> None:
        self._allow = tuple(normal(pattern) for pattern in allowed.allow)
        self._deny = tuple(normal(pattern) for pattern in allowed.deny)
        self._field = field

    def names(self, text: str) -> bool:
        """Tell whether `allow` has `text` itself."""
        return text in self._allow

    def check(self, text: str, *, name: str, is_allowed: bool = False) -> None:
        """Raise RefusedByPolicy when `text` is denied, or not allowed."""
        denied = _first(self._deny, text)
        if denied is not None:
            msg = f"{name} is refused: {self._field}.deny of sources.json has {denied!r}"
            raise RefusedByPolicy(msg)
        if self._allow and not is_allowed and _first(self._allow, text) is None:
            msg = f"{name} is refused: {self._field}.allow of sources.json does not have {text!r}"
            raise RefusedByPolicy(msg)


def matches(host: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether one of the shell patterns has `host`."""
    return _first(tuple(_host(pattern) for pattern in patterns), _host(host)) is not None


def _first(patterns: tuple[str, ...], text: str) -> str | None:
    if not patterns:
        return None
    from fnmatch import fnmatchcase

    return next((pattern for pattern in patterns if fnmatchcase(text, pattern)), None)


def _host(text: str) -> str:
    """Return a host or pattern in one form: lower-case, in ASCII (IDNA), without the root's dot."""
    text = text.lower().removesuffix(".")
    if text.isascii():
        return text
    try:
        return ".".join(label if label.isascii() else label.encode("idna").decode() for label in text.split("."))
    except UnicodeError as error:
        msg = f"{text!r} is no host name"
        raise InvalidRequest(msg) from error


def _url(scheme: str, authority: str, *, name: str) -> SplitResult:
    try:
        url = SplitResult(scheme, authority, "", "", "")
        _ = url.port
    except ValueError as error:
        msg = f"{name} has no valid host"
        raise InvalidRequest(msg) from error
    return url


def _named(settings: SourceSettings, environment: Mapping[str, str]) -> Iterator[str]:
    """Give `host:port` of what the settings send us to."""
    for store in (settings.s3, settings.gcs):
        for bucket in (store, *store.buckets.values()):
            yield from _authority(bucket.endpoint)
    for service in settings.hdfs.nameservices.values():
        for url in service.urls:
            yield from _authority(url)
    for mirror in settings.mirrors:
        for target in mirror.to:
            yield from _authority(target)
    for variable in _ENDPOINT_VARIABLES:
        value = environment.get(variable)
        yield from _authority(f"http://{value}" if value and "://" not in value else value)


def _authority(url: str | None) -> Iterator[str]:
    try:
        parts = urlsplit(url or "")
        if parts.scheme in _WEB and parts.hostname:
            yield authority_of(parts)
    except ValueError:
        return  # whoever uses it says what is wrong with it


_: type[Admission] = EgressPolicy
