"""From the entry of a kubeconfig to the user that it describes.

token, tokenFile                       that token
exec                                   a login program (where there is no token)
client-certificate(-data), client-key  a certificate, with each of the others or alone
username, password                     basic authentication, which clusters took before 1.19
as, as-groups, as-uid                  somebody else, whom the user acts as
auth-provider                          oidc: its id-token; others ended with Kubernetes 1.26
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from staging_protocol.errors import InvalidRequest
from submission.kube.identity import User
from submission.kube.kubeconfig import Entry, malformed, text_of
from submission.kube.login_program import LoginProgram

_EXEC_INFO: Final = "client.authentication.k8s.io/exec"
"""The extension of a cluster that is meant for login programs."""

_INSTEAD: Final[Mapping[str, str]] = {
    "gcp": "install gke-gcloud-auth-plugin and run `gcloud container clusters get-credentials`",
    "azure": "install kubelogin and run `kubelogin convert-kubeconfig`",
}


def user_of(name: str, entry: Entry, *, cluster: Entry) -> User:
    """Return the user.

    Args:
        name: of the entry.
        entry: of the user.
        cluster: its cluster's, which some login programs want to know.

    Raises:
        InvalidRequest: the entry is not usable.
    """
    certificate = _pair(entry)
    login = _login(entry, cluster=cluster)
    token, token_file = entry.text("token") or _id_token(entry), entry.path("tokenFile")
    basic = (entry.text("username") or "", entry.text("password") or "")
    how = [
        words
        for words, has in (
            ("token", token is not None or token_file is not None),
            ("login program", login is not None),
            ("client certificate", certificate is not None),
            ("password", any(basic)),
        )
        if has
    ]
    acting = _acting(entry)
    as_whom = f", acting as {acting['Impersonate-User']}" if acting else ""
    return User(
        words=f"the user {name!r} of the kubeconfig ({' and '.join(how) or 'anonymous'}){as_whom}",
        token=token,
        token_file=token_file,
        certificate=certificate,
        login=login,
        basic=basic if any(basic) else None,
        acting=acting,
    )


def _pair(entry: Entry) -> bytes | None:
    certificate, key = entry.content("client-certificate"), entry.content("client-key")
    if (certificate is None) != (key is None):
        msg = f"{entry.words} has a client-certificate without a client-key, or the other way round"
        raise InvalidRequest(msg)
    return None if certificate is None or key is None else certificate + b"\n" + key


def _login(entry: Entry, *, cluster: Entry) -> LoginProgram | None:
    found = entry.mapping("exec")
    if found is None:
        return None
    words = f"exec of {entry.words}"
    command = text_of(found, "command", words=words)
    if command is None:
        msg = f"{words} has no `command`; does kubectl work with it?"
        raise InvalidRequest(msg)
    wants_cluster = text_of(found, "provideClusterInfo", words=words) == "true"
    return LoginProgram(
        # As kubectl does it: a path is relative to the kubeconfig, a bare name is looked up.
        command=str(entry.folder.absolute() / command) if "/" in command else command,
        arguments=tuple(_texts(found, "args", words=words)),
        variables=_variables(found, words=words),
        api_version=text_of(found, "apiVersion", words=words) or "",
        asks=text_of(found, "interactiveMode", words=words) or "IfAvailable",
        hint=" ".join((text_of(found, "installHint", words=words) or "").split()),
        cluster=_told(cluster) if wants_cluster else None,
    )


def _variables(found: Mapping[str, Any], *, words: str) -> dict[str, str]:
    given = found.get("env")
    if not isinstance(given, list):
        return {}
    if not all(isinstance(one, dict) for one in given):
        raise malformed("env", of=words)
    return {text_of(one, "name", words=words) or "": text_of(one, "value", words=words) or "" for one in given}


def _texts(found: Mapping[str, Any], key: str, *, words: str) -> list[str]:
    given = found.get(key)
    if not isinstance(given, list):
        return []
    if not all(isinstance(one, str) for one in given):
        raise malformed(key, of=words)
    return given


def _told(cluster: Entry) -> dict[str, Any]:
    """Return what a login program is told of a cluster."""
    from base64 import b64encode

    authority = cluster.content("certificate-authority")
    told = {
        "server": cluster.text("server"),
        "tls-server-name": cluster.text("tls-server-name"),
        "insecure-skip-tls-verify": cluster.flag("insecure-skip-tls-verify") or None,
        "certificate-authority-data": None if authority is None else b64encode(authority).decode(),
        "proxy-url": cluster.text("proxy-url"),
        "config": _extension(cluster),
    }
    return {key: value for key, value in told.items() if value is not None}


def _extension(cluster: Entry) -> Any:
    given = cluster.fields.get("extensions")
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict) and one.get("name") == _EXEC_INFO:
            return one.get("extension")
    return None


def _acting(entry: Entry) -> dict[str, str]:
    user, uid, groups = entry.text("as"), entry.text("as-uid"), _texts(entry.fields, "as-groups", words=entry.words)
    if entry.mapping("as-user-extra") is not None or len(groups) > 1:
        msg = f"{entry.words} acts as somebody with several as-groups, or as-user-extra; only `as` with one group works"
        raise InvalidRequest(msg)
    if user is None:
        return {}
    headers = {"Impersonate-User": user, "Impersonate-Uid": uid or "", "Impersonate-Group": "".join(groups)}
    return {name: value for name, value in headers.items() if value}


def _id_token(entry: Entry) -> str | None:
    """Return the token of OpenID Connect, which kubectl renews in the file."""
    provider = entry.mapping("auth-provider")
    if provider is None:
        return None
    name = text_of(provider, "name", words=f"auth-provider of {entry.words}") or ""
    config = provider.get("config")
    if name != "oidc" or not isinstance(config, dict):
        _refuse(name, entry)
    return text_of(config, "id-token", words=f"auth-provider of {entry.words}")


def _refuse(name: str, entry: Entry) -> NoReturn:
    instead = _INSTEAD.get(name, "let your cloud's tool write the kubeconfig anew")
    msg = f"{entry.words} logs in by auth-provider {name!r}, which ended with Kubernetes 1.26; {instead}"
    raise InvalidRequest(msg)
