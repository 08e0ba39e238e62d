"""The alerts in deploy/, judged by Prometheus: they are rules, they fire for what they are for, and not otherwise."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.conftest import missing
from tests.services.debian import PackageMissing
from tests.services.promtool import find_promtool

_FILES: Final = sorted((Path(__file__).parents[3] / "deploy" / "prometheus").glob("*.yaml"))
_RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    rule["alert"]: rule
    for file in _FILES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
}


@dataclass(frozen=True, kw_only=True)
class Story:
    """Series with a value a minute, as promtool writes them (time begins at 0); the alert is looked for at `minute`."""

    alarming: Mapping[str, str]
    quiet: Mapping[str, str]
    minute: int
    labels: Mapping[str, str] = field(default_factory=dict)


_PODS: Final = '{kind="pods"}'

_STORIES: Final = {
    "SparkStagingReviewsFail": Story(
        alarming={'sparkstaging_review_duration_seconds_count{kind="token",result="error"}': "0+1x20"},
        quiet={
            'sparkstaging_review_duration_seconds_count{kind="token",result="error"}': "5x20",
            'sparkstaging_review_duration_seconds_count{kind="token",result="yes"}': "0+9x20",
        },
        minute=11,
        labels={"kind": "token"},
    ),
    "SparkStagingReviewsLimited": Story(
        alarming={'sparkstaging_reviews_limited_total{kind="token"}': "0+120x40"},
        quiet={'sparkstaging_reviews_limited_total{kind="token"}': "0+30x40"},
        minute=30,
        labels={"kind": "token"},
    ),
    "SparkStagingSweepOverdue": Story(
        alarming={"sparkstaging_sweep_last_success_timestamp_seconds": "0x20"},
        quiet={
            'sparkstaging_sweep_last_success_timestamp_seconds{instance="leads"}': "0+60x20",
            'sparkstaging_sweep_last_success_timestamp_seconds{instance="waits"}': "0x20",
        },
        minute=12,
    ),
    "SparkStagingNoLead": Story(
        alarming={'sparkstaging_lead{instance="a"}': "0x20", 'sparkstaging_lead{instance="b"}': "0x20"},
        quiet={'sparkstaging_lead{instance="a"}': "1x20", 'sparkstaging_lead{instance="b"}': "0x20"},
        minute=6,
    ),
    "SparkStagingTwoLeads": Story(
        alarming={'sparkstaging_lead{instance="a"}': "1x20", 'sparkstaging_lead{instance="b"}': "1x20"},
        quiet={'sparkstaging_lead{instance="a"}': "1x20", 'sparkstaging_lead{instance="b"}': "0x20"},
        minute=6,
    ),
    "SparkStagingUnclaimedOverdue": Story(
        alarming={"sparkstaging_oldest_unclaimed_seconds": "901x20"},
        quiet={"sparkstaging_oldest_unclaimed_seconds": "899x20"},
        minute=6,
    ),
    "SparkStagingPoliciesRefused": Story(
        alarming={"sparkstaging_policies_reload_failures_total": "0x5 1x20"},
        quiet={"sparkstaging_policies_reload_failures_total": "1x25"},
        minute=10,
    ),
    "SparkStagingSweepFailing": Story(
        alarming={"sparkstaging_sweep_failures_total": "0+1x30"},
        quiet={"sparkstaging_sweep_failures_total": "0 1 2x30"},
        minute=20,
    ),
    "SparkStagingWatchBroken": Story(
        alarming={f"sparkstaging_watch_known{_PODS}": "0x20"},
        quiet={f"sparkstaging_watch_known{_PODS}": "0x5 1x20"},
        minute=11,
        labels={"kind": "pods"},
    ),
    "SparkStagingWatchLags": Story(
        alarming={f"sparkstaging_watch_last_heard_timestamp_seconds{_PODS}": "1x20"},
        quiet={
            f"sparkstaging_watch_last_heard_timestamp_seconds{_PODS}": "0+60x20",
            'sparkstaging_watch_last_heard_timestamp_seconds{kind="jobs"}': "0x20",  # not watched here
        },
        minute=16,
        labels={"kind": "pods"},
    ),
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return find_promtool()
    except PackageMissing as error:
        missing(str(error))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_prometheus_takes_the_rules(file: Path, promtool: Path) -> None:
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_its_story() -> None:
    assert set(_STORIES) == set(_RULES)


@pytest.mark.parametrize("alert", _STORIES)
def test_an_alert_fires_for_what_it_is_for(alert: str, promtool: Path, tmp_path: Path) -> None:
    _tell(alert, _STORIES[alert].alarming, fires=True, promtool=promtool, folder=tmp_path)


@pytest.mark.parametrize("alert", _STORIES)
def test_an_alert_is_silent_while_all_is_well(alert: str, promtool: Path, tmp_path: Path) -> None:
    _tell(alert, _STORIES[alert].quiet, fires=False, promtool=promtool, folder=tmp_path)


def _tell(alert: str, series: Mapping[str, str], *, fires: bool, promtool: Path, folder: Path) -> None:
    """Let Prometheus play the series, and compare what fires at the story's minute."""
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{_STORIES[alert].minute}m",
                "alertname": alert,
                "exp_alerts": [_fired(alert)] if fires else [],
            }
        ],
    }
    file = folder / "story.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(file) for file in _FILES], "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _fired(alert: str) -> Mapping[str, Mapping[str, str]]:
    rule, labels = _RULES[alert], _STORIES[alert].labels
    annotations = dict(rule["annotations"])
    for label, value in labels.items():
        annotations = {name: text.replace(f"{{{{ $labels.{label} }}}}", value) for name, text in annotations.items()}
    return {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": annotations}
