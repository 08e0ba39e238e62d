"""The examples of docs/uris.md are what they say: read, mounted as shown, with Secrets that its commands make."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from staging_protocol.pod_contract import Role
from staging_protocol.source_files import read_sources, secret_keys
from tests.submission.conftest import Command

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "deploy" / "examples" / "sources"
PAGE: Final = (ROOT / "docs" / "uris.md").read_text(encoding="utf-8")
OURS: Final = ("spark-staging-sources", "spark-staging-source-secrets")
REMOTE: Final = "s3a://bucket.invalid/lib.jar"


@dataclass(frozen=True)
class Example:
    """What the page shows between the name of one example and that of the next, or a heading."""

    name: str
    text: str

    def block(self, language: str) -> str | None:
        found = re.search(rf"^```{language}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        return None if found is None else found[1]

    @property
    def sources(self) -> bytes:
        return (self.block("json") or "").encode()


def examples() -> dict[str, Example]:
    parts = re.split(r"\(\.\./deploy/examples/sources/([\w-]+)\.json\)", PAGE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: Example(name, re.split(r"^##", text, maxsplit=1, flags=re.MULTILINE)[0]) for name, text in pairs}


SHOWN: Final = examples()
WITH_SECRETS: Final = [name for name, one in SHOWN.items() if secret_keys(read_sources(one.sources))]


def test_every_example_is_on_the_page_as_it_is_in_its_file() -> None:
    files = {path.stem: json.loads(path.read_bytes()) for path in EXAMPLES.glob("*.json")}

    assert {name: json.loads(one.sources) for name, one in SHOWN.items()} == files
    assert len(files) >= 14


def written(job: Command, example: Example, *, role: Role) -> dict[str, Any]:
    """What `template` writes of an example, and nothing else of the pod."""
    job.file("sources.json", example.sources)
    done = job.inside(
        "template", "--into", "pods", "--spark-version", "4.3", "--no-check", "--sources", "sources.json",
        "--jars", REMOTE, "app.jar",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pod = yaml.safe_load((job.folder / "pods" / f"{role}.yaml").read_text())
    init, annotation = pod["spec"]["initContainers"][0], "spark-staging.io/sources"
    return {
        "metadata": {"annotations": {annotation: pod["metadata"]["annotations"][annotation]}},
        "spec": {
            "volumes": [one for one in pod["spec"]["volumes"] if one["name"] in OURS],
            "initContainers": [
                {"name": init["name"], "volumeMounts": [one for one in init["volumeMounts"] if one["name"] in OURS]}
            ],
        },
    }


@pytest.mark.parametrize("role", Role)
def test_the_example_with_all_its_lines_is_what_template_writes(job: Command, role: Role) -> None:
    example = SHOWN["s3-secret"]

    assert written(job, example, role=role) == yaml.safe_load(example.block("yaml") or "")


@pytest.mark.parametrize("name", SHOWN)
def test_every_other_example_differs_in_what_it_shows(job: Command, name: str) -> None:
    pod, whole = written(job, SHOWN[name], role=Role.DRIVER), yaml.safe_load(SHOWN["s3-secret"].block("yaml") or "")

    text = pod["metadata"]["annotations"]["spark-staging.io/sources"]
    assert json.loads(text) == json.loads(SHOWN[name].sources)
    settings, *secrets = pod["spec"]["volumes"]
    assert settings == whole["spec"]["volumes"][0]
    if name not in WITH_SECRETS:
        assert secrets == []
    elif name != "s3-secret":
        assert secrets[0]["projected"]["sources"] == yaml.safe_load(SHOWN[name].block("yaml") or "")


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_the_commands_make_the_secrets_with_their_keys_from_the_files_beside_sources_json(name: str) -> None:
    made: dict[str, set[str]] = {}
    for line in (SHOWN[name].block("sh") or "").splitlines():
        words = shlex.split(line)
        if words[:1] == ["kubectl"] and words[3:6] == ["create", "secret", "generic"]:
            pairs = [word.removeprefix("--from-file=").split("=") for word in words[7:]]
            made[words[6]] = {key for key, _ in pairs}
            assert [path for _, path in pairs] == [f"{words[6]}/{key}" for key, _ in pairs]

    needed = {secret: set(keys) for secret, keys in secret_keys(read_sources(SHOWN[name].sources)).items()}
    assert made == needed


def test_what_the_page_adds_to_our_init_container_is_taken(job: Command) -> None:
    section = PAGE.partition("### Files of your own")[2]
    own = yaml.safe_load(Example("", section).block("yaml") or "")
    job.file("own.yaml", yaml.safe_dump({"kind": "Pod", **own}))

    done = job.inside(
        "template", "--into", "pods", "--spark-version", "4.3", "--driver-template", "own.yaml", "app.jar"
    )

    assert done.returncode == 0, done.stderr
    init = yaml.safe_load((job.folder / "pods" / "driver.yaml").read_text())["spec"]["initContainers"][0]
    (added,) = own["spec"]["initContainers"]
    assert init["env"][-1:] == added["env"]
    assert init["volumeMounts"][-1:] == added["volumeMounts"]
