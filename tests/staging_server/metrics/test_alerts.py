"""The alerts in deploy/: each asks for numbers that exist, by the names and labels that `/metrics` has."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from staging_server.metrics.registry import Metrics

_FILES: Final = sorted((Path(__file__).parents[3] / "deploy" / "prometheus").glob("*.yaml"))
_RULES: Final = [
    rule for file in _FILES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]
]
_NAME: Final = re.compile(r"sparkstaging_\w+")
_BY: Final = re.compile(r"\bby \(([^)]*)\) \((?:\w+\()?(sparkstaging_\w+)")
_SELECTOR: Final = re.compile(r'(sparkstaging_\w+)\{(\w+)(?:=|!=|=~|!~)"[^"]*"\}')


@pytest.fixture(scope="module")
def shown() -> Mapping[str, set[str]]:
    """Return the labels of each sample by its name, once everything that rules may ask for has happened."""
    metrics = Metrics(version="1")
    metrics.sweep_done(seconds=1, ended=1, freed=1)
    metrics.sweep_failed()
    metrics.oldest_due(seconds=1)
    metrics.claims_counted({"pod": 1})
    metrics.lead_held(held=True)
    metrics.policies_refused()
    metrics.blob_removed(size=1, reason="unused")
    metrics.bundle_ended(reason="expired")
    metrics.watches.watch_heard("pods", "")
    metrics.watches.watch_whole("pods", "")
    metrics.watches.watch_listed("pods", "", objects=1, seconds=1)
    metrics.watches.watch_broken("pods", "", code="denied")
    metrics.reviews.reviewed("token", result="error", seconds=1)
    metrics.reviews.review_limited("token")
    labels: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
    return labels


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is(rule: Mapping[str, Any], shown: Mapping[str, set[str]]) -> None:
    names = _NAME.findall(rule["expr"])
    assert names, "it asks for nothing of ours"
    assert set(names) <= set(shown)
    for labels, name in _BY.findall(rule["expr"]):
        assert {label.strip() for label in labels.split(",")} <= shown[name]
    for name, label in _SELECTOR.findall(rule["expr"]):
        assert label in shown[name]
    # Labels in the words come from the `by` of the expression.
    by = {label.strip() for labels, _ in _BY.findall(rule["expr"]) for label in labels.split(",")}
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= by


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_how_bad_that_is(rule: Mapping[str, Any]) -> None:
    assert {"summary", "description"} <= {name for name, words in rule["annotations"].items() if words.strip()}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in _RULES]
    assert len(set(names)) == len(names) >= 1
