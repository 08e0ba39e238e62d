"""What operators decided about the life of bundles and blobs, for each namespace.  Pure.

The settings say what holds for all.  A policies file (TOML) may say otherwise, for all and for some:

    [defaults]                              # in place of the settings
    time_to_live = 7200

    [[rules]]
    namespaces = ["nightly", "team-*"]      # names, or patterns with * and ?
    blob_keep = 1209600
    quota = 500_000_000_000                 # bytes; "none": no quota

The first rule of which a name or pattern fits is a namespace's own; what it leaves out comes from the defaults, and
what these leave out from the settings.  Durations are seconds.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from staging_protocol.errors import InvalidRequest
from staging_server.settings import Connect, Settings
from staging_server.settings.group import DAY, HOUR
from staging_server.times import duration_text

_LONGEST: Final = 10 * 366 * DAY
"""Ten years: more is a slip of the pen, and times near the year 9999 cannot be computed with."""

_KEPT: Final = 10_000
"""Namespaces whose policy is kept once it was made; most clusters have fewer."""

Duration = Annotated[float, Meta(gt=0, le=_LONGEST)]
Pattern = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9*?\[\]!.-]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for one namespace.

    Attributes:
        quota: bytes of the namespace; None is no quota.
        origins: by the name of a field, the words for who gave its value, where that is not the settings.
    """

    time_to_live: timedelta
    max_time_to_live: timedelta
    min_age: timedelta
    grace: timedelta = timedelta(hours=1)
    max_lease: timedelta = timedelta(days=1)
    blob_keep: timedelta = timedelta(days=7)
    quota: int | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)

    def time_to_live_of(self, asked: timedelta | None) -> timedelta:
        """Return the time to live that a bundle gets; the policy may have become stricter since it was asked for."""
        return self.time_to_live if asked is None else min(asked, self.max_time_to_live)

    def by(self, name: str) -> str:
        """Return who gave the value of a field, in words that follow it; nothing for the settings."""
        origin = self.origins.get(name)
        return "" if origin is None else f" (by {origin})"

    def words_of(self, name: str) -> str:
        """Return a duration in words, with who gave it."""
        return duration_text(getattr(self, name)) + self.by(name)


class _Values(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be said for all or for some namespaces; None leaves it to whoever comes next."""

    time_to_live: Duration | None = None
    max_time_to_live: Duration | None = None
    min_age: Duration | None = None
    grace: Duration | None = None
    max_lease: Duration | None = None
    blob_keep: Duration | None = None
    quota: Annotated[int, Meta(ge=0, le=2**62)] | Literal["none"] | None = None


FIELDS: Final = _Values.__struct_fields__
"""Names of what a policies file can say."""


class _Rule(_Values, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for namespaces whose name fits one of these."""

    namespaces: Annotated[tuple[Pattern, ...], Meta(min_length=1)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    defaults: _Values = _Values()
    rules: tuple[_Rule, ...] = ()


class Policies:
    """The policies of all namespaces, at one moment."""

    def __init__(self, base: Policy, file: _File | None = None) -> None:
        """Raises InvalidRequest when what is said does not fit together."""
        self._file = file or _File()
        self._base = _with(base, self._file.defaults, "the defaults of the policies file")
        self._ruled = tuple(_with(self._base, rule, _name(number, rule)) for number, rule in self._rules())
        self._cached = lru_cache(maxsize=_KEPT)(self._of)

    def of(self, namespace: str) -> Policy:
        """Return the policy of a namespace."""
        return self._cached(namespace)

    @property
    def fingerprint(self) -> str:
        """What changes whenever a policy does."""
        return hashlib.sha256(repr((self._base, self._ruled, self._file)).encode()).hexdigest()

    def _rules(self) -> Iterator[tuple[int, _Rule]]:
        return enumerate(self._file.rules, start=1)

    def _of(self, namespace: str) -> Policy:
        for rule, policy in zip(self._file.rules, self._ruled, strict=True):
            if any(fnmatchcase(namespace, pattern) for pattern in rule.namespaces):
                return policy
        return self._base


def policy_of(settings: Settings) -> Policy:
    """Return what the settings say, for all namespaces."""
    retention = settings.retention
    return Policy(
        time_to_live=timedelta(seconds=time_to_live_of(settings)),
        max_time_to_live=timedelta(seconds=retention.max_time_to_live),
        min_age=timedelta(seconds=retention.min_age),
        grace=timedelta(seconds=retention.grace),
        max_lease=timedelta(seconds=retention.max_lease),
        blob_keep=timedelta(seconds=retention.blob_keep),
        quota=settings.limits.namespace_size,
    )


def time_to_live_of(settings: Settings) -> float:
    """Return the seconds that a bundle lives which nothing claims: short where Kubernetes says who uses it."""
    if settings.retention.time_to_live is not None:
        return settings.retention.time_to_live
    usual = 7 * DAY if settings.kubernetes.connect is Connect.NO else HOUR
    return min(usual, settings.retention.max_time_to_live)


def parse_policies(text: str, *, base: Policy, name: str) -> Policies:
    """Return the policies of a file over what the settings say; `name` is that of the file.

    Raises:
        InvalidRequest: it is not valid, with the place.
    """
    try:
        return Policies(base, msgspec.convert(tomllib.loads(text), _File))
    except tomllib.TOMLDecodeError as error:
        msg = f"{name} is not TOML: {error}"
        raise InvalidRequest(msg) from error
    except (msgspec.ValidationError, InvalidRequest) as error:
        msg = f"{name}: {error}"
        raise InvalidRequest(msg) from error


def value_text(policy: Policy, name: str) -> str:
    """Return the value of a field in words, with who gave it."""
    value = getattr(policy, name)
    if isinstance(value, timedelta):
        return policy.words_of(name)
    return ("none" if value is None else f"{value} bytes") + policy.by(name)


def _name(number: int, rule: _Rule) -> str:
    return f"rule {number} of the policies file, for {', '.join(rule.namespaces)}"


def _with(policy: Policy, values: _Values, origin: str) -> Policy:
    given = {name: value for name in FIELDS if (value := getattr(values, name)) is not None}
    changed = replace(
        policy,
        **{name: _value(name, value) for name, value in given.items()},
        origins=MappingProxyType({**policy.origins, **dict.fromkeys(given, origin)}),
    )
    if changed.time_to_live > changed.max_time_to_live:
        msg = (
            f"{origin}: time_to_live is {duration_text(changed.time_to_live)}, more than max_time_to_live, "
            f"{duration_text(changed.max_time_to_live)}"
        )
        raise InvalidRequest(msg)
    return changed


def _value(name: str, value: Any) -> Any:
    if name == "quota":
        return None if value == "none" else value
    return timedelta(seconds=value)
