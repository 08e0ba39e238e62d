"""What shall be reached, in one table, and whether it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.scenario import Outcome

SERVER_PSS: Final = "server PSS, MiB"
"""A figure of every scenario with our server: the peak over all its runs."""

OVER_PYTHON: Final = "milliseconds over python"
"""A figure of the init container's scenarios."""

FASTEST: Final = "speed/fastest peer"
OVER_KSERVE: Final = "speed/kserve"
CLIENT_PSS: Final = "client PSS, MiB"
"""Figures of the scenarios with remote dependencies."""


STAGED: Final = "one jar of 1 MiB"
NOTHING: Final = "nothing to stage"
JOBS: Final = (STAGED, NOTHING)
SPARKS: Final = ("4.3.0", "3.5.9")
"""Jobs and peers of `submit`."""


def faster(version: str, job: str) -> str:
    """Return the figure of how many times faster we are than spark-submit of that version."""
    return f"speed/spark-submit {version}, {job}"


def cheaper(version: str, job: str) -> str:
    """Return the figure of how many times less CPU we take."""
    return f"CPU/spark-submit {version}, {job}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure of one scenario, the least or the most that it may be, and what keeps it from being better."""

    scenario: str
    figure: str
    text: str
    at_least: float | None = None
    at_most: float | None = None
    bounded_by: str = ""

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


_SERVED: Final = (
    "get", "get-many", "fan-out", "put", "put-many", "get-tls", "get-tls-many", "put-tls", "put-tls-many", "resolve",
    "resolve-small", "stage-small", "stage-mixed", "resume", "resubmit", "create", "init-loaded", "latency",
)  # fmt: skip

_WITH_SDK: Final = ("s3-large", "s3-medium", "s3-small", "gcs-large", "gcs-small")
_WITHOUT_SDK: Final = ("hdfs-large", "hdfs-small", "http-large", "http-small", "http-limited")
_MEMORY_ONLY: Final = ("http-sparse",)
_WITH_KSERVE: Final = ("s3-large", "s3-medium", "gcs-large", "http-large")

_PER_FILE: Final = "Python: 0.5 to 0.8 ms of processor time a file (request, answer, open, write, rename), on one core"
_BOUNDED_BY: Final = {
    "s3-small": f"{_PER_FILE}; and a signature for each",
    "gcs-small": _PER_FILE,
    "gcs-large": "start of Python, manifest and report: 0.2 s",
    "http-small": _PER_FILE,
    "http-limited": "start of Python, manifest and report, and the last parts: 0.6 s",
    "hdfs-small": "WebHDFS: four requests a file where Hadoop's own protocol needs fewer, by busy JVMs",
}

TARGETS: Final = (
    Target(
        scenario="get", figure="speed/nginx", text="GET 1 GiB, against nginx", at_least=0.95,
        bounded_by="equal processor time; the event loop's wake-ups between two `sendfile`",
    ),
    Target(
        scenario="get-many", figure="speed/nginx", text="GET by 64 clients, 16 MiB each, against nginx", at_least=0.95,
    ),
    Target(
        scenario="fan-out", figure="speed/nginx", text="GET of 10 MiB by 1,000 clients, against nginx", at_least=0.95,
        bounded_by="twice nginx's processor time for each request",
    ),
    Target(scenario="fan-out", figure="errors", text="GET by 1,000 clients, errors", at_most=0),
    Target(
        scenario="put", figure="speed/nginx", text="verified PUT of 1 GiB, against nginx", at_least=1.0,
        bounded_by="SHA-256 (1.1 s of processor time for each GiB) and fsync, neither of which nginx does",
    ),
    Target(
        scenario="put-many", figure="speed/nginx", text="verified PUT by 64 clients, 16 MiB each, against nginx",
        at_least=1.0, bounded_by="SHA-256 and fsync",
    ),
    Target(scenario="get-tls", figure="speed/nginx", text="GET 1 GiB over TLS, against nginx", at_least=0.7),
    Target(scenario="get-tls-many", figure="speed/nginx", text="GET over TLS by 8 clients", at_least=0.7),
    Target(scenario="put-tls", figure="speed/nginx", text="PUT 1 GiB over TLS, against nginx", at_least=0.7),
    Target(scenario="put-tls-many", figure="speed/nginx", text="PUT over TLS by 8 clients", at_least=0.7),
    Target(
        scenario="resolve", figure="speed/curl", text="resolve 1 GiB, against `curl --parallel`", at_least=0.9,
        bounded_by="SHA-256 on top of what curl does",
    ),
    Target(
        scenario="resolve-small", figure="speed/curl", text="resolve 2,000 x 100 KiB, against `curl --parallel`",
        at_least=0.9, bounded_by="the server's time for each file that is asked for once",
    ),
    Target(
        scenario="stage-small", figure="speed/curl to nginx",
        text="stage 2,000 x 100 KiB, against curl's parallel upload to nginx", at_least=0.5,
        bounded_by="fsync of each file, SHA-256 on both sides, start of the client",
    ),
    Target(scenario="resubmit", figure="requests", text="resubmission of 500 MB, requests", at_most=1),
    Target(scenario="resubmit", figure="bytes on the wire", text="resubmission, bytes both ways", at_most=10_000),
    Target(
        scenario="create", figure="bundles per second", text="bundles created per second", at_least=2000,
        bounded_by="0.7 ms of one core each: HTTP, checks, log line, SQL",
    ),
    Target(
        scenario="init", figure=OVER_PYTHON, text="init container over bare Python, ms", at_most=200,
        bounded_by="imports",
    ),
    Target(
        scenario="init-loaded", figure=OVER_PYTHON, text="the same while 32 read from the server, ms", at_most=150,
        bounded_by="imports, and three answers of a busy server",
    ),
    *(
        Target(
            scenario=name, figure=FASTEST, text=f"{name}, against the fastest peer", at_least=0.9,
            bounded_by=_BOUNDED_BY.get(name, ""),
        )
        for name in (*_WITH_SDK, *_WITHOUT_SDK)
    ),
    *(
        Target(
            scenario=name, figure=OVER_KSERVE, text=f"{name}, against KServe's storage initializer", at_least=2,
            bounded_by="the store, which takes as much of the two cores for either",
        )
        for name in _WITH_KSERVE
    ),
    *(
        Target(scenario=name, figure=CLIENT_PSS, text=f"{name}, memory of the init container, MiB", at_most=96)
        for name in _WITH_SDK
    ),
    *(
        Target(scenario=name, figure=CLIENT_PSS, text=f"{name}, memory of the init container, MiB", at_most=64)
        for name in (*_WITHOUT_SDK, *_MEMORY_ONLY)
    ),
    Target(
        scenario="init-s3", figure=OVER_PYTHON, text="init container with one S3 object over bare Python and the SDK's "
        "own import, ms", at_most=250,
    ),
    *(
        Target(
            scenario=name, figure=f"start from bind to ready, ms, {bundles} bundles",
            text=f"start of the server from bind to ready with {bundles} bundles, ms", at_most=1000,
        )
        for name, bundles in (("retention", "100,000"), ("retention-million", "1,000,000"))
    ),
    *(
        Target(
            scenario=name,
            figure=f"{what}, ms, {bundles} bundles",
            text=f"{what} of {bundles} bundles, ms",
            at_most=most,
        )
        for name, bundles in (("retention", "100,000"), ("retention-million", "1,000,000"))
        # About five times what they take with a thousand: what grew with the number of bundles would be far beyond.
        for what, most in (("list of a namespace", 50), ("explain", 10), ("sweep of what expired", 300))
    ),
    *(
        Target(
            scenario="submit", figure=figure(version, job), text=f"submit, {job}, {what} spark-submit {version}",
            at_least=5, bounded_by="start of Python, and the API server, whose part is the same for both",
        )
        for version in SPARKS
        for job in JOBS
        for figure, what in ((faster, "times faster than"), (cheaper, "times less CPU than"))
    ),
    *(Target(scenario=name, figure=SERVER_PSS, text=f"server's PSS in {name}, MiB", at_most=150) for name in _SERVED),
)  # fmt: skip


def verdicts(outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """Return the targets of the scenarios that ran."""
    return [
        Verdict(target, outcomes[target.scenario].figures[target.figure])
        for target in TARGETS
        if target.scenario in outcomes
    ]
