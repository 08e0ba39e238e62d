"""The page of `sources.json`: a table for each of its parts, from the structs that read it."""

import inspect
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from staging_protocol import sources
from staging_protocol.sources import SourceSettings

_WORDS: Final = [
    (sources.CredentialFile, "file"),
    (sources.Url, "URL"),
    (sources.MirrorUri, "URI"),
    (sources.Cidr, "network"),
    (sources.Seconds, "seconds"),
    (bool, "true, false"),
    (str, "text"),
    (int, "number"),
]
"""What types are called; the first that is equal counts."""


def sources_page() -> str:
    """Return the page."""
    return f"""# Fields of sources.json

How the places are reached that remote dependencies come from; [uris.md](uris.md#sourcesjson) explains it, with an example for each provider.
Everything has a default, and a field that is not known is an error.
A *file* is `<secret>/<key>`, the key of a Kubernetes Secret, or an absolute path.

{"".join(_parts(SourceSettings, path=""))}"""


def _parts(struct: type[msgspec.Struct], *, path: str) -> Iterator[str]:
    """Yield the section of `struct`, and those of the structs in it."""
    rows = "\n".join(_row(field, meaning=_meanings(struct)[field.name]) for field in fields(struct))
    about = (inspect.getdoc(struct) or "").partition("Attributes:")[0]
    yield f"## `{path or 'sources.json'}`\n\n{_lines(about)}\n\n"
    yield f"| field | is | default | meaning |\n|---|---|---|---|\n{rows}\n\n"
    for field in fields(struct):
        inner, step = _inner(field.type)
        # A group in a group of the same kind, as buckets in s3, has the same fields.
        if inner is not None and not issubclass(struct, inner):
            yield from _parts(inner, path=f"{path}.{field.name}{step}".lstrip("."))


def _row(field: FieldInfo, *, meaning: str) -> str:
    return f"| `{field.name}` | {_called(field.type)} | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.required:
        return "required"
    if isinstance(value, bool | int | float):
        return f"`{msgspec.json.encode(value).decode()}`"
    return ""


def _called(kind: Any) -> str:
    """Return how people call a type."""
    kind = _without_none(kind)
    named = [word for known, word in _WORDS if known == kind]
    if named:
        return named[0]
    if _is_struct(kind):
        return "group"
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return f"list of {_plural(_called(inner[0]))}"
    if origin is dict:
        return f"{_called(inner[1])}, by name"
    return _called(kind.__origin__)  # a type with limits


def _plural(word: str) -> str:
    return word if word in {"text", "seconds"} else f"{word}s"


def _inner(kind: Any) -> tuple[type[msgspec.Struct] | None, str]:
    """Return the struct in a type, if there is one, and the step that leads to it."""
    kind = _without_none(kind)
    if _is_struct(kind):
        return kind, ""
    inner = [one for one in get_args(kind) if _is_struct(one)]
    if not inner:
        return None, ""
    return inner[0], ".<name>" if get_origin(kind) is dict else "[]"


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        return next(one for one in get_args(kind) if one is not NoneType)
    return kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the docstrings of the struct and its bases say of each field."""
    found: dict[str, str] = {}
    for one in reversed(struct.__mro__):
        attributes = (inspect.getdoc(one) or "").partition("Attributes:")[2] if _is_struct(one) else ""
        for name, text in re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE):
            found[name] = " ".join(text.split()).replace("|", "\\|")
    return found


def _lines(text: str) -> str:
    """Return the paragraphs, one sentence a line."""
    paragraphs = [" ".join(one.split()) for one in text.strip().split("\n\n")]
    return "\n".join(re.sub(r"(?<=[.])\s+(?=[A-Z`])", "\n", one) for one in paragraphs)
