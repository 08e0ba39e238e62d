"""The properties of a job, read by their declarations.  Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from staging_protocol.errors import InvalidRequest
from submission.spark import values


@dataclass(frozen=True, slots=True)
class Conf:
    """Properties and what `${env:…}` in them means.

    Attributes:
        properties: as they were set.
        environment: the submitter's variables that Spark looks at.
    """

    properties: Mapping[str, str]
    environment: Mapping[str, str]

    def optional(self, key: str) -> str | None:
        """Return a text, references substituted; None when it is not set."""
        text = self.properties.get(key)
        if text is None:
            return None
        return values.substituted(text, properties=self.properties, environment=self.environment)

    def text(self, key: str, default: str) -> str:
        """Return a text or its default."""
        found = self.optional(key)
        return default if found is None else found

    def choice(self, key: str, default: str, *, allowed: Collection[str]) -> str:
        """Return one of the allowed texts.

        Raises:
            InvalidRequest: it is another one.
        """
        found = self.text(key, default)
        if found not in allowed:
            msg = f"{key}={found} is not one of: {', '.join(sorted(allowed))}"
            raise InvalidRequest(msg)
        return found

    def integer(self, key: str, default: int) -> int:
        """Return a whole number."""
        found = self.optional(key)
        return default if found is None else values.integer(found, key=key)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return a truth."""
        found = self.optional(key)
        return default if found is None else values.boolean(found, key=key)

    def number(self, key: str) -> float | None:
        """Return a number."""
        found = self.optional(key)
        return None if found is None else values.number(found, key=key)

    def memory_mib(self, key: str) -> int | None:
        """Return mebibytes."""
        found = self.optional(key)
        return None if found is None else values.memory_mib(found, key=key)

    def items(self, key: str) -> list[str]:
        """Return the entries of a list."""
        return values.items(self.text(key, ""))

    def prefixed(self, prefix: str) -> dict[str, str]:
        """Return what follows a prefix, raw as Spark takes such families (`SparkConf.getAllWithPrefix`)."""
        return {key.removeprefix(prefix): value for key, value in self.properties.items() if key.startswith(prefix)}
