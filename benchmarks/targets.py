"""What shall be reached, in one table, and whether it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.scenario import Outcome

SERVER_PSS: Final = "server PSS, MiB"
"""A figure of every scenario with our server: the peak over all its runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure of one scenario, and the least or the most that it may be."""

    scenario: str
    figure: str
    text: str
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Tell whether `value` is good enough."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        """The bound as people write it."""
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target with what was measured."""

    target: Target
    value: float

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.target.is_met(self.value)


_SERVED: Final = ("get", "fan-out", "put", "resolve", "resolve-small", "resubmit", "create")

TARGETS: Final = (
    Target(scenario="get", figure="speed/nginx", text="GET, speed against nginx", at_least=0.95),
    Target(scenario="fan-out", figure="speed/nginx", text="Many clients, speed against nginx", at_least=0.95),
    Target(scenario="fan-out", figure="errors", text="Many clients, errors", at_most=0),
    Target(scenario="put", figure="speed/nginx", text="Verified PUT, speed against nginx's unverified", at_least=1.0),
    Target(scenario="resolve", figure="speed/curl", text="Resolve one file, speed against curl", at_least=0.9),
    Target(scenario="resolve-small", figure="speed/curl", text="Resolve small files, speed against curl", at_least=0.9),
    Target(scenario="resubmit", figure="requests", text="Resubmission, requests", at_most=1),
    Target(scenario="resubmit", figure="bytes on the wire", text="Resubmission, bytes both ways", at_most=10_000),
    Target(scenario="create", figure="bundles per second", text="Bundles created per second", at_least=2000),
    Target(scenario="init", figure="milliseconds over python", text="Init container over bare Python, ms", at_most=200),
    *(Target(scenario=name, figure=SERVER_PSS, text=f"Server's PSS in {name}, MiB", at_most=150) for name in _SERVED),
)


def verdicts(outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """Return the targets of the scenarios that ran."""
    return [
        Verdict(target, outcomes[target.scenario].figures[target.figure])
        for target in TARGETS
        if target.scenario in outcomes
    ]
