"""Kubeconfigs, as kubectl reads them: several files make one, and the first one to name something wins.

    clusters: [{name, cluster: {server, certificate-authority…}}]   →  `Endpoint`
    users:    [{name, user: {token, client-certificate…, exec}}]    →  `User`
    contexts: [{name, context: {cluster, user}}]                       which of them go together
    current-context

Paths in a file are relative to its folder.  What stands in a kubeconfig may be a token, so an error about one names
places and keys, never values.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from staging_protocol.errors import InvalidRequest

USUAL: Final = "~/.kube/config"
"""Where kubectl looks without KUBECONFIG, or with an empty one."""

_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
"""How YAML writes that there is nothing; all scalars are read as text."""
_YES: Final = frozenset({"true", "yes", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A cluster, user or context, and where it stands.

    Attributes:
        words: what it is called in errors.
        fields: as written.
        folder: to which its paths are relative.
    """

    words: str
    fields: Mapping[str, Any] = field(repr=False)
    folder: Path

    def text(self, key: str) -> str | None:
        """Return a field that is text; None where there is none."""
        return text_of(self.fields, key, words=self.words)

    def flag(self, key: str) -> bool:
        """Return whether a field says yes."""
        return (self.text(key) or "").lower() in _YES

    def path(self, key: str) -> Path | None:
        """Return a field that is a path."""
        found = self.text(key)
        return None if found is None else self.folder / found

    def content(self, key: str) -> bytes | None:
        """Return what `<key>-data` holds, else the file that `key` names.

        Raises:
            InvalidRequest: that is not base64, or there is no such file.
        """
        data, path = self.text(f"{key}-data"), self.path(key)
        if data is not None:
            return self._decoded(f"{key}-data", data)
        if path is None:
            return None
        try:
            return path.read_bytes()
        except OSError as error:
            msg = f"the file {path} ({key} of {self.words}) cannot be read: {error.strerror}"
            raise InvalidRequest(msg) from error

    def mapping(self, key: str) -> Mapping[str, Any] | None:
        """Return a field that has fields."""
        found = self.fields.get(key)
        if _is_nothing(found):
            return None
        if not isinstance(found, dict):
            raise malformed(key, of=self.words)
        return found

    def _decoded(self, key: str, data: str) -> bytes:
        from base64 import b64decode

        try:
            return b64decode(data, validate=True)
        except ValueError:
            raise malformed(key, of=self.words) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """All files together; entries by their names."""

    words: str
    current: str | None
    contexts: Mapping[str, Entry]
    clusters: Mapping[str, Entry]
    users: Mapping[str, Entry]

    def context(self, name: str | None) -> Entry:
        """Return a context, or the current one.

        Raises:
            InvalidRequest: there is no such context; the error names those that there are.
        """
        wanted = name or self.current
        if wanted is None:
            msg = f"{self.words} has no current-context; choose one with --context {_there_are(self.contexts)}"
            raise InvalidRequest(msg)
        if wanted not in self.contexts:
            msg = f"{self.words} has no context {wanted!r} {_there_are(self.contexts)}"
            raise InvalidRequest(msg)
        return self.contexts[wanted]

    def part(self, context: Entry, kind: str) -> tuple[str, Entry]:
        """Return the `cluster` or `user` of a context, with its name.

        Raises:
            InvalidRequest: there is none.
        """
        name = context.text(kind)
        those = {"cluster": self.clusters, "user": self.users}[kind]
        found = those.get(name or "")
        if name is None or found is None:
            named = f"the {kind} {name!r}, which is not there" if name else f"no {kind}"
            msg = f"{context.words} names {named} {_there_are(those)}; does kubectl work with it?"
            raise InvalidRequest(msg)
        return name, found


def _there_are(names: Iterable[str]) -> str:
    return f"(there are: {', '.join(sorted(names)) or 'none'})"


def paths_of(names: str | None) -> list[Path]:
    """Return the files that KUBECONFIG names."""
    return [Path(name).expanduser() for name in (names or USUAL).split(os.pathsep) if name]


def read_kubeconfig(paths: Iterable[Path]) -> Kubeconfig:
    """Read the files that are there.

    Raises:
        InvalidRequest: there is none, or one of them is no kubeconfig.
    """
    files = list(paths)
    there = [path for path in files if path.exists()]
    words = f"the kubeconfig {':'.join(map(str, there or files))}"
    if not there:
        msg = f"{words} does not exist; set KUBECONFIG, or let your cloud's tool write one"
        raise InvalidRequest(msg)
    current: str | None = None
    found: dict[str, dict[str, Entry]] = {"contexts": {}, "clusters": {}, "users": {}}
    for path in there:
        content = _loaded(path)
        current = current or text_of(content, "current-context", words=str(path))
        for kind, entries in found.items():
            for name, entry in _entries(content, kind, path=path):
                entries.setdefault(name, entry)
    return Kubeconfig(words=words, current=current, **found)


def text_of(fields: Mapping[str, Any], key: str, *, words: str) -> str | None:
    """Return a field that is text; None where there is none."""
    found = fields.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        raise malformed(key, of=words)
    return None if _is_nothing(found) else found


def malformed(part: str, *, of: str) -> InvalidRequest:
    """Return the error for a part that has not the form that it should have."""
    return InvalidRequest(
        f"no kubeconfig can be used: {part} of {of} is malformed; does `kubectl config view` read it?"
    )


def _loaded(path: Path) -> Mapping[str, Any]:
    import yaml

    # All scalars as text, and nothing but text, lists and mappings: a token of digits stays one.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        content = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - this loader makes no objects
    except OSError as error:
        msg = f"the kubeconfig {path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # Not `from error`: its text holds what stands there, and a traceback would show it.
        raise malformed("its YAML", of=f"{path}{f' (line {mark.line + 1})' if mark else ''}") from None
    if _is_nothing(content):
        msg = f"the kubeconfig {path} is empty; name another one by KUBECONFIG"
        raise InvalidRequest(msg)
    if not isinstance(content, dict):
        raise malformed("its content", of=str(path))
    return content


def _entries(content: Mapping[str, Any], kind: str, *, path: Path) -> Iterator[tuple[str, Entry]]:
    entries = content.get(kind)
    if _is_nothing(entries):
        return
    if not isinstance(entries, list):
        raise malformed(kind, of=str(path))
    for entry in entries:
        name = text_of(entry, "name", words=str(path)) if isinstance(entry, dict) else None
        if name is None:
            raise malformed("an entry without a name", of=f"{kind} in {path}")
        singular = kind.removesuffix("s")
        fields = entry.get(singular)
        if singular in entry and _is_nothing(fields):
            fields = {}
        if not isinstance(fields, dict):
            msg = f"no kubeconfig can be used: the entry {name!r} of {kind} in {path} has no `{singular}`"
            raise InvalidRequest(msg)
        yield name, Entry(words=f"the {singular} {name!r} in {path}", fields=fields, folder=path.parent)


def _is_nothing(found: object) -> bool:
    return found is None or (isinstance(found, str) and found in _NOTHING)
