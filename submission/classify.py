"""What a submitter named, sorted: what is staged, what stays remote, what is in the container already.

    --jars a.jar,https://repo/b.jar,local:///opt/c.jar
           └ submitter-local          └ container-local
                   └ remote

Pure: names and URIs only.  `local_files` looks at the disk.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, TargetCollision
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind, ManifestEntry
from staging_protocol.pod_contract import FilesIn, folder_of
from staging_protocol.uris import DependencyUri, Locality

OPTIONS: Final = {Kind.JAR: "--jars", Kind.FILE: "--files", Kind.PYFILE: "--py-files", Kind.ARCHIVE: "--archives"}
"""spark-submit's option for each kind."""

PYTHON_MODULE: Final = ".py"
_PYTHON_ARCHIVES: Final = (".zip", ".egg", ".whl")
_R_SUFFIXES: Final = (".R", ".r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One named dependency.

    Attributes:
        kind: what it is to Spark.
        uri: as it was named.
        named_by: the option or property that names it, for messages.
        is_main: whether it is the application itself.
    """

    kind: Kind
    uri: DependencyUri
    named_by: str
    is_main: bool = False

    @property
    def locality(self) -> Locality:
        """Which of Spark's three classes it is in."""
        return self.uri.locality

    @property
    def target(self) -> FileName:
        """The name under which it appears in a pod."""
        return self.uri.target

    def __str__(self) -> str:
        """Return the URI without secrets, and who named it."""
        return f"{self.uri} ({self.named_by})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the bytes of a dependency before they are moved: said by its source, or promised by a lock."""

    size: int | None = None
    digest: Digest | None = None


NOTHING_KNOWN: Final[Mapping[Dependency, Known]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """All dependencies of a job in the order in which they were named, each once."""

    dependencies: tuple[Dependency, ...]

    @property
    def staged(self) -> tuple[Dependency, ...]:
        """Those that are uploaded."""
        return self._of(Locality.SUBMITTER_LOCAL)

    @property
    def remote(self) -> tuple[Dependency, ...]:
        """Those that the resolver fetches from elsewhere."""
        return self._of(Locality.REMOTE)

    @property
    def main(self) -> Dependency | None:
        """The application itself."""
        return next((item for item in self.dependencies if item.is_main), None)

    def _of(self, locality: Locality) -> tuple[Dependency, ...]:
        return tuple(item for item in self.dependencies if item.locality is locality)


def split_list(value: str) -> list[str]:
    """Return the entries of a comma-separated list as Spark reads it: trimmed, without empty ones."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def named(kind: Kind, entries: Iterable[str], *, by: str) -> list[Dependency]:
    """Return the dependencies of one option or property."""
    return [Dependency(kind=kind, uri=DependencyUri.parse(entry), named_by=by) for entry in entries]


def main_dependency(entry: str) -> Dependency:
    """Return the main resource, whose kind is known by its name (as `SparkSubmit` does it)."""
    uri = DependencyUri.parse(entry)
    if uri.path.endswith(PYTHON_MODULE):
        kind = Kind.PYFILE
    elif uri.path.endswith(_R_SUFFIXES):
        kind = Kind.FILE
    else:
        kind = Kind.JAR
    return Dependency(kind=kind, uri=uri, named_by="main resource", is_main=True)


def classify(dependencies: Sequence[Dependency]) -> Classified:
    """Return the dependencies without repetitions.

    Raises:
        TargetCollision: two of them have one target; both are named.
        InvalidRequest: Spark could not be told of one of them, or one carries a secret.
    """
    unique = _without_repetitions(dependencies)
    _check_main(unique)
    for dependency in unique:
        _check_name(dependency)
        if dependency.locality is Locality.REMOTE:
            refuse_secrets(dependency)
    _check_targets(unique)
    return Classified(dependencies=tuple(unique))


def remote_entries(
    classified: Classified, known: Mapping[Dependency, Known] = NOTHING_KNOWN
) -> tuple[ManifestEntry, ...]:
    """Return the remote dependencies as the manifest keeps them."""
    return tuple(_entry(item, known.get(item) or Known()) for item in classified.remote)


def refuse_secrets(dependency: Dependency) -> None:
    """Refuse a URI that carries a secret.

    Raises:
        InvalidRequest: it does.
    """
    if dependency.uri.has_credentials:
        msg = (
            f"{dependency} carries a secret in its text, which would be kept for others to read; "
            "give the credentials to the pods by a Secret, or stage a local copy"
        )
        raise InvalidRequest(msg)


def _entry(item: Dependency, known: Known) -> ManifestEntry:
    return ManifestEntry(
        uri=item.uri.without_fragment, kind=item.kind, target=item.target, size=known.size, digest=known.digest
    )


def _without_repetitions(dependencies: Sequence[Dependency]) -> list[Dependency]:
    """Keep the first of several that name the same thing; a main resource named twice stays the main resource."""
    kept: dict[tuple[Kind, str], Dependency] = {}
    for dependency in dependencies:
        key = (dependency.kind, _place(dependency.uri))
        if key not in kept or dependency.is_main:
            kept[key] = dependency
    return list(kept.values())


def _place(uri: DependencyUri) -> str:
    if uri.locality is Locality.SUBMITTER_LOCAL:
        return f"{uri.local_path}#{uri.fragment or ''}"
    return uri.text


def _check_main(dependencies: Sequence[Dependency]) -> None:
    mains = [one for one in dependencies if one.is_main]
    if len(mains) > 1:
        msg = f"{mains[0].uri} and {mains[1].uri} cannot both be the main resource; name one"
        raise InvalidRequest(msg)


def _check_name(dependency: Dependency) -> None:
    if dependency.kind is Kind.PYFILE and not dependency.uri.path.endswith((PYTHON_MODULE, *_PYTHON_ARCHIVES)):
        msg = f"{dependency} is no Python file; --py-files takes .py, .zip, .egg and .whl"
        raise InvalidRequest(msg)
    if dependency.kind is not Kind.ARCHIVE and "," in dependency.target:
        msg = f"{dependency} has a comma in its name, with which Spark separates names; rename it"
        raise InvalidRequest(msg)
    if dependency.kind is Kind.PYFILE and ":" in dependency.target:
        msg = f"{dependency} has a colon in its name, with which PYTHONPATH separates names; rename it"
        raise InvalidRequest(msg)


def _check_targets(dependencies: Sequence[Dependency]) -> None:
    # Files and archives share the executors' working folder, so that is where their names must differ.
    taken: dict[tuple[str, str], Dependency] = {}
    for dependency in dependencies:
        if dependency.locality is Locality.CONTAINER_LOCAL:
            continue
        key = (folder_of(dependency.kind, files_in=FilesIn.WORK), dependency.target.collision_key)
        first = taken.setdefault(key, dependency)
        if first is not dependency:
            msg = f"{first} and {dependency} both become {key[0]}/{dependency.target}; give one of them another name"
            raise TargetCollision(msg)
