"""Who may do what, and how callers prove who they are."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from staging_protocol.pod_contract import TOKEN_AUDIENCE
from staging_server.settings.group import Group, Seconds

Rate = Annotated[float, Field(ge=1)]


class AuthMode(StrEnum):
    """How callers prove who they are."""

    NONE = "none"
    TOKENS = "tokens"
    KUBERNETES = "kubernetes"


class AuthSettings(Group):
    """Who may do what."""

    mode: AuthMode = AuthMode.NONE
    """`none`: everybody may do everything, which is refused unless the server listens on loopback only.
    `tokens`: access tokens from `tokens_file`.
    `kubernetes`: tokens of the cluster that `kubernetes.connect` names, and its roles for `bundles.spark-staging.io`;
    pods read by their own tokens.  Bundle tokens open their bundle in every mode."""

    tokens_file: Path | None = None
    """JSON file of hashed access tokens with their namespaces and verbs, written by `tokens create`; read again when it
    changes.  Required with mode `tokens`."""

    reload_every: Seconds = 2.0
    """Time between two looks at whether `tokens_file` has changed; a revoked token works for at most this long."""

    audience: Annotated[str, Field(min_length=1, max_length=253)] = TOKEN_AUDIENCE
    """Audience that tokens of Kubernetes have to be made for; clients learn it from `/v1/info`."""

    issuer: str | None = None
    """Issuer that tokens for `audience` have to name; others are refused without a question to Kubernetes.  Default:
    what the API server says of itself at the first token.  Empty: any, for an API server that has several."""

    api_server_tokens: bool = False
    """Also take tokens that are for the API server itself, such as that of a kubeconfig.  Whoever sees one here could
    use it there; so the server has to have a certificate (`tls`), and has to be trusted with them."""

    yes_keep: Annotated[float, Field(gt=0, le=60)] = 60
    """Time for which a token and a right that Kubernetes confirmed are believed; one that was taken away works for at
    most this long."""

    no_keep: Annotated[float, Field(gt=0, le=10)] = 10
    """Time for which a refusal of Kubernetes is believed; a new right works after at most this long."""

    reviews_per_second: Rate = 200
    """Questions about callers that one process asks Kubernetes; five times as many at once.  More get 429 with
    Retry-After."""

    refusals_per_second: Rate = 5
    """Questions because of one address that Kubernetes answers with no; five times as many at once.  More get 429 with
    Retry-After; what is known already goes on.  Raise it when all callers come from the address of one proxy."""

    @property
    def token_audience(self) -> str | None:
        """Audience of the tokens of Kubernetes that are taken; None when none are."""
        return self.audience if self.mode is AuthMode.KUBERNETES else None
