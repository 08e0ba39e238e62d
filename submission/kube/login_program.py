"""A program that logs in, as kubeconfigs of clouds name one (`exec`; client.authentication.k8s.io/v1 and v1beta1).

It learns from KUBERNETES_EXEC_INFO what is wanted, may ask the person at a terminal, and prints an ExecCredential.
What it prints is never told.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from staging_io.logs import redact
from staging_protocol.errors import InvalidRequest
from staging_protocol.printable import printable

_GROUP: Final = "client.authentication.k8s.io"
_VERSIONS: Final = frozenset({f"{_GROUP}/v1", f"{_GROUP}/v1beta1"})
_PATIENCE: Final = 60.0
"""Seconds for a program that can ask nobody; those of clouds take up to ten."""
_MOST_WORDS: Final = 500
"""Characters of what a program says that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginProgram:
    """How to log in.

    Attributes:
        command: name, or path.
        arguments: of the program.
        variables: for its environment; they may hold secrets.
        api_version: in which it answers.
        asks: `Never`, `IfAvailable` or `Always`: whether it may, or must, ask the person.
        hint: how to install it.
        cluster: what it is told of the cluster; None: nothing.
    """

    command: str
    arguments: tuple[str, ...] = field(default=(), repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_version: str
    asks: str = "IfAvailable"
    hint: str = ""
    cluster: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a program gave: a token, a certificate with its key (PEM), or both."""

    token: str | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    expires: float | None


def log_in(program: LoginProgram) -> Given:
    """Run the program.

    Raises:
        InvalidRequest: it does not work; told in its own words.
    """
    if program.api_version not in _VERSIONS:
        msg = (
            f"the login program {program.command} of the kubeconfig speaks {program.api_version!r}, which kubectl does "
            "not either; let your cloud's tool write the kubeconfig anew"
        )
        raise InvalidRequest(msg)
    return _read(_output(program), program=program)


def _output(program: LoginProgram) -> bytes:
    import subprocess

    from submission.settings import Environment

    asks = _can_ask(program)
    info = {"apiVersion": program.api_version, "kind": "ExecCredential", "spec": {"interactive": asks}}
    if program.cluster is not None:
        info["spec"]["cluster"] = program.cluster  # type: ignore[index] # a dictionary of ours
    variables = {**Environment.read().variables, **program.variables}
    variables["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
    # At a terminal the person reads what the program says, such as the address of a page to log in at.
    is_seen = sys.stderr is not None and sys.stderr.isatty()
    try:
        done = subprocess.run(  # noqa: S603 - what the person's own kubeconfig names, as kubectl runs it
            [program.command, *program.arguments],
            env=variables,
            stdin=None if asks else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if is_seen else subprocess.PIPE,
            timeout=None if asks else _PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _broken(program, f"it did not end within {_PATIENCE:.0f} seconds") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its arguments cannot be given to a program"
        raise _broken(program, f"{why}{f'. {program.hint}' if program.hint else ''}") from None
    if done.returncode != 0:
        said = "; ".join((done.stderr or b"").decode(errors="replace").split("\n")).strip("; ")
        raise _broken(program, said[-_MOST_WORDS:] or f"it ended with code {done.returncode}")
    return done.stdout


def _can_ask(program: LoginProgram) -> bool:
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if program.asks == "Always" and not is_terminal:
        raise _broken(program, "it wants to ask somebody, and there is no terminal")
    return is_terminal and program.asks != "Never"


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    status: _Status


def _read(output: bytes, *, program: LoginProgram) -> Given:
    try:
        found = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _broken(program, "what it prints is no ExecCredential with a status") from None  # it may be a token
    if found.api_version != program.api_version:
        raise _broken(program, f"it answers in another version than {program.api_version}")
    status = found.status
    if (status.client_certificate_data is None) != (status.client_key_data is None):
        raise _broken(program, "it gives a certificate without a key, or a key without a certificate")
    pair = f"{status.client_certificate_data}\n{status.client_key_data}".encode()
    certificate = None if status.client_key_data is None else pair
    if not status.token and certificate is None:
        raise _broken(program, "it gives neither a token nor a certificate")
    expires = None if status.expiration_timestamp is None else status.expiration_timestamp.timestamp()
    return Given(token=status.token or None, certificate=certificate, expires=expires)


def _broken(program: LoginProgram, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"the login program {program.command} that the kubeconfig names does not work: {printable(redact(why))}"
    )
