"""`auth.mode=kubernetes`: the cluster says who asks, and its roles say what they may.

    bearer token → `claims` (cheap reasons to refuse) → TokenReview → a user, perhaps a bound pod
    user, verb, namespace → SubjectAccessReview on `bundles.spark-staging.io`

Both are remembered (`verdicts`), a token by its SHA-256 and never past its end, and limited (`rates`).  Where
Kubernetes does not answer nobody is let in: `Unavailable`.  Bundle tokens (`sst_…`) are for pods of other clusters and
for drivers outside; nobody is asked about them.
"""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from staging_protocol.errors import TooManyRequests
from staging_protocol.tokens import BundleId, TokenKind
from staging_server.access_tokens import Verb
from staging_server.auth.base import Access, Authenticator, BoundPod, Identity
from staging_server.auth.bearer import bearer, parse_token
from staging_server.auth.claims import Worth, check_issuer, worth_asking
from staging_server.auth.observer import SILENT, Kind, Result, ReviewObserver
from staging_server.auth.rates import Rates
from staging_server.auth.reviews import Cluster, Reviews, User
from staging_server.auth.verdicts import Verdicts
from staging_server.namespaces import is_namespace
from staging_server.problems import NeedsCredentials
from staging_server.recent import Recent
from staging_server.settings import AuthSettings

T = TypeVar("T")

_ACCOUNT: Final = "system:serviceaccount:"
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"

_OURS: Final = tuple(f"{kind.value}_" for kind in TokenKind)

_LONGEST_NAME: Final = 240
"""Characters; the database keeps 253 of a caller's name.  That of a service account may have 339."""


class SeenPod(Protocol):
    """What is looked at of a pod."""

    @property
    def uid(self) -> str:
        """Its uid."""
        ...

    @property
    def bundle(self) -> str | None:
        """The value of its label."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it has not finished."""
        ...


class Pods(Protocol):
    """Knows the pods of the cluster."""

    async def find_pod(self, namespace: str, name: str, *, uid: str = "") -> SeenPod | None:
        """Return the pod of that name, perhaps with another uid; None when there is none.

        Raises:
            Unavailable: nobody knows now.
        """
        ...


class ByKubernetes:
    """See the module."""

    def __init__(
        self,
        cluster: Cluster,
        pods: Pods,
        *,
        settings: AuthSettings,
        clock: Callable[[], float] = time.time,
        observer: ReviewObserver = SILENT,
    ) -> None:
        self._observer = observer
        self._settings = settings
        self._clock = clock
        self._pods = pods
        self._reviews = Reviews(cluster)
        yes, no = settings.yes_keep, settings.no_keep
        self._users: Verdicts[str, User | None] = Verdicts(
            yes=yes, no=no, spared=partial(observer.review_spared, "token")
        )
        self._rights: Verdicts[tuple[User, Verb, str | None], bool] = Verdicts(
            yes=yes, no=no, spared=partial(observer.review_spared, "access")
        )
        self._rates = Rates(in_all=settings.reviews_per_second, of_address=settings.refusals_per_second)
        self._issuer: Recent[None, str | None] = Recent(seconds=math.inf, most=1)

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Take requests from everywhere: without a token they can do nothing."""

    async def identify(self, headers: Mapping[str, str], *, address: str) -> Identity:
        """Return whom Kubernetes knows by the token that came, or the bundle token."""
        text = (bearer(headers) or "").strip()
        if not text:
            return None
        if text.startswith(_OURS):
            token = parse_token(text)
            if token.kind is TokenKind.BUNDLE:
                return token
            msg = "access tokens are not used here; send a token of Kubernetes"
            raise NeedsCredentials(msg, invalid=True)
        user = await self._user(text, address=address)
        if user is None:
            msg = "Kubernetes does not know this token, or it has expired, or its pod or account is gone"
            raise NeedsCredentials(msg, invalid=True)
        return _KnownUser(user=user, address=address, by=self)

    async def may(self, user: User, *, verb: Verb, namespace: str | None, address: str) -> bool:
        """Tell whether the cluster's roles allow that; raises as `Access.may` does."""
        question = partial(self._reviews.may, user, verb=verb, namespace=namespace)
        return await self._rights.ask((user, verb, namespace), self._limited("access", question, address=address))

    async def carries(self, pod: BoundPod, *, bundle: BundleId) -> bool:
        """Tell whether the pod lives, is the same as when its token was made, and has the label of the bundle."""
        seen = await self._pods.find_pod(pod.namespace, pod.name, uid=pod.uid)
        return seen is not None and seen.alive and seen.uid == pod.uid and seen.bundle == bundle

    async def _user(self, text: str, *, address: str) -> User | None:
        now = self._clock()
        worth = worth_asking(
            text, audience=self._settings.audience, api_server_tokens=self._settings.api_server_tokens, now=now
        )
        await self._check_issuer(worth)
        question = partial(self._reviews.who, text, audience=worth.audience)
        left = None if worth.until is None else worth.until - now
        key = hashlib.sha256(text.encode()).hexdigest()
        return await self._users.ask(key, self._limited("token", question, address=address), at_most=left)

    async def _check_issuer(self, worth: Worth) -> None:
        if worth.issuer is None:
            return
        issuer = self._settings.issuer
        if issuer is None:
            issuer = await self._issuer.ask(None, self._reviews.issuer)
        if issuer:
            check_issuer(worth, issuer=issuer)

    def _limited(
        self, kind: Kind, question: Callable[[], Awaitable[T]], *, address: str
    ) -> Callable[[], Coroutine[Any, Any, T]]:
        """Return a question that counts; its answer is true or a no."""

        async def counted() -> T:
            try:
                self._rates.take(address)
            except TooManyRequests:
                self._observer.review_limited(kind)
                raise
            answer = await self._measured(kind, question)
            if not answer:
                self._rates.refused(address)
            return answer

        return counted

    async def _measured(self, kind: Kind, question: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        result: Result = "error"
        try:
            answer = await question()
            result = "yes" if answer else "no"
        finally:
            self._observer.reviewed(kind, result=result, seconds=time.monotonic() - began)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownUser:
    """`Access` of somebody whom Kubernetes knows."""

    user: User
    address: str
    by: ByKubernetes

    @property
    def name(self) -> str:
        """The user's name; our own callers have other prefixes."""
        return caller_name(self.user.name)

    @property
    def pod(self) -> BoundPod | None:
        """The pod that a service account's token is bound to."""
        return bound_pod(self.user)

    async def may(self, verbs: tuple[Verb, ...], *, namespace: str | None) -> bool:
        """See `Access.may`."""
        # What can be no namespace is nobody's but theirs who may do it in all: they are told what is wrong with it.
        where = namespace if namespace is None or is_namespace(namespace) else None
        for verb in verbs:
            if await self.by.may(self.user, verb=verb, namespace=where, address=self.address):
                return True
        return False

    async def carries(self, bundle: BundleId, *, namespace: str) -> bool:
        """See `Access.carries`."""
        pod = self.pod
        return pod is not None and pod.namespace == namespace and await self.by.carries(pod, bundle=bundle)


def caller_name(name: str) -> str:
    """Return the name of a user for rows: a long one as its digest and its beginning, so that two never share one."""
    if len(name) <= _LONGEST_NAME:
        return f"user:{name}"
    return f"user~{hashlib.sha256(name.encode()).hexdigest()}:{name[:150]}"


def bound_pod(user: User) -> BoundPod | None:
    """Return the pod that a token is bound to.  Only the API server itself says so, and of service accounts only."""
    if not user.name.startswith(_ACCOUNT):
        return None
    namespace = user.name.removeprefix(_ACCOUNT).partition(":")[0]
    extra = dict(user.extra)
    name, uid = extra.get(_POD_NAME, ()), extra.get(_POD_UID, ())
    if len(name) != 1 or len(uid) != 1:
        return None
    return BoundPod(namespace=namespace, name=name[0], uid=uid[0])


_a: type[Access] = _KnownUser
_b: type[Authenticator] = ByKubernetes
