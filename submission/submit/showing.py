"""What a submission prints on standard output: objects, or what came of it, as kubectl would."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from submission.driver.job import KubeObject
from submission.submit.options import Form
from submission.submit.wanted import Submitted

_SECRET: Final = re.compile("(?i)secret|password|token|access[.]?key")
"""What `spark.redaction.regex` is unless it is set."""
_HIDDEN: Final = "*********(redacted)"


def objects_shown(objects: Sequence[KubeObject], form: Form) -> str:
    """Return objects that would be created; as text they are YAML."""
    match form:
        case Form.NAME:
            return "\n".join(f"{obj['kind'].lower()}/{obj['metadata']['name']}" for obj in objects)
        case Form.JSON:
            return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=2, default=str)
        case Form.YAML | Form.TEXT:
            return "---\n".join(_yaml(obj) for obj in objects).rstrip("\n")


def properties_shown(properties: Mapping[str, str]) -> Iterator[str]:
    """Yield the properties in force for `--verbose`, without what Spark itself would not show."""
    for key, value in sorted(properties.items()):
        yield f"{key}={_HIDDEN if _SECRET.search(key) or _SECRET.search(value) else value}"


def result_shown(submitted: Submitted, form: Form) -> str | None:
    """Return what came of a submission; None where nothing is printed."""
    match form:
        case Form.TEXT:
            return None
        case Form.NAME:
            return f"pod/{submitted.driver.name}"
        case Form.JSON:
            return json.dumps(_fields(submitted), indent=2)
        case Form.YAML:
            return _yaml(_fields(submitted)).rstrip("\n")


def _fields(submitted: Submitted) -> dict[str, Any]:
    driver = submitted.driver
    return {
        "namespace": driver.namespace,
        "pod": driver.name,
        "uid": driver.uid,
        "application_id": driver.application,
        "submission_id": driver.submission,
        "bundle": driver.bundle,
        "exit_code": submitted.exit_code,
        "reason": submitted.reason,
    }


def _yaml(value: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as such."""

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
        style = "|" if "\n" in data else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, text)
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, width=1000))
