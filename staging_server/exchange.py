"""One request on its way through the server: what the middlewares found out, for handlers, logs and audit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import hdrs, web

from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.tokens import BundleId
from staging_server.access_tokens import Verb
from staging_server.auth.base import Access
from staging_server.namespaces import checked_namespace
from staging_server.parts import ServerParts
from staging_server.problems import REQUEST_ID_HEADER
from staging_server.state import AppState
from staging_server.tenants import Caller, Tenant

Handler = Callable[["Exchange"], Awaitable[web.StreamResponse]]
"""What a route runs, once the caller is known to be allowed to."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request.  Only the middlewares change it: they fill in who asks and how it ended.

    Attributes:
        state: what belongs to the whole application.
        request_id: the caller's own, or ours.
        route: the template of the path, for logs and metrics.
        caller: who asks; anonymous until the guard knows better.
        access: their rights; None for bundle tokens, and where no credentials are needed.
        code: code of the error that ended the request.
    """

    request: web.Request
    state: AppState
    request_id: str
    route: str
    caller: Caller
    access: Access | None = None
    code: str | None = None
    _tenant: Tenant | None = field(default=None, repr=False)
    _bundle: BundleId | None = field(default=None, repr=False)

    async def send(self, response: web.StreamResponse) -> None:
        """Send the whole answer now, so that what it cost is known when this returns."""
        response.headers[REQUEST_ID_HEADER] = self.request_id
        response.headers[hdrs.SERVER] = self.state.server_name
        if not self.request.content.is_eof():
            # The rest of an unread body must not be taken for the next request.
            response.force_close()
        await response.prepare(self.request)
        await response.write_eof()

    @property
    def parts(self) -> ServerParts:
        """The parts below HTTP."""
        return self.state.parts

    @property
    def namespace(self) -> str | None:
        """The namespace that the path names, as it was sent; None where paths have none."""
        return self.request.match_info.get("namespace")

    @property
    def tenant(self) -> Tenant:
        """The tenant that the path names, once `find_tenant` has found it."""
        if self._tenant is None:
            raise AssertionError(self.route)
        return self._tenant

    async def find_tenant(self) -> Tenant:
        """Find the tenant that the path names.

        Raises:
            InvalidRequest: it names what cannot be a namespace.
            NotFound: there is no such namespace.
            Unavailable: nobody knows now.
        """
        if self._tenant is None:
            self._tenant = await self.state.gate.tenants.find(checked_namespace(self.namespace or ""))
        return self._tenant

    async def operates(self) -> bool:
        """Tell whether the caller is an operator, there."""
        return self.access is not None and await self.access.may((Verb.OPERATE,), namespace=self.namespace)

    @property
    def bundle(self) -> BundleId:
        """The bundle that the path names; raises NotFound for what cannot be an id."""
        if self._bundle is None:
            try:
                self._bundle = BundleId(self.request.match_info["bundle"])
            except InvalidRequest as error:
                raise NotFound(NO_BUNDLE) from error
        return self._bundle


NO_BUNDLE: Final = "there is no such bundle, or the token does not open it"
EXCHANGE: Final = web.RequestKey("exchange", Exchange)
