"""The page of Spark's keys: a row for each, from the table that decides about them."""

from collections.abc import Iterable
from typing import Final

from submission.spark.keys import FAMILIES, KEYS, Key, Treatment

_MEANINGS: Final = {
    Treatment.OBJECTS: "`submit` makes the driver's objects by it, as stock Spark does, and passes it on to the driver",
    Treatment.CLIENT: "`submit` itself goes by it; it is passed on to the driver too",
    Treatment.DRIVER: "`submit` passes it on; the driver in the cluster goes by it",
    Treatment.UNNEEDED: "it has no effect on `submit`, which says so",
}


def spark_keys_page() -> str:
    """Return the page."""
    meanings = "\n".join(f"- **{treatment}**: {meaning}." for treatment, meaning in _MEANINGS.items())
    return f"""# Spark's keys for Kubernetes

What `spark-staging submit` does with each `spark.kubernetes.*` key in cluster mode.
All other `spark.*` keys reach the driver as they are; of those, memory, cores, ports, `spark.local.dir` and resources such as GPUs also decide what the driver's pod looks like, as with stock Spark.

{meanings}

A key that Spark knows only from a later version on has no effect, and `submit` says so.
A `spark.kubernetes.*` key that is in neither table is passed on to the driver with a note, unless it is nearly one of these: then it is an error that names the one that was meant.
Settings that contradict each other are errors before anything is made.

## Keys

{_table(KEYS)}

## Families of keys

{_table(FAMILIES)}
"""


def _table(keys: Iterable[Key]) -> str:
    rows = "\n".join(_row(key) for key in keys)
    return f"| key | since | default | what happens | more |\n|---|---|---|---|---|\n{rows}"


def _row(key: Key) -> str:
    ends = ", ".join(sorted(key.ends)) or "NAME"
    name = f"`{key.full}`*{ends}*" if key.is_family else f"`{key.full}`"
    default = key.default if key.default.startswith("that of") else f"`{key.default}`" if key.default else ""
    return f"| {name} | {key.since} | {default} | {key.treatment} | {key.about} |"
