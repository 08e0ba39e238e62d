"""The command `spark-staging-init`: manifest, files, report, exit code.

It is started once in every driver and executor pod, so it loads little and asks for nothing but manifest and files.
"""

import logging
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from init_container.settings import InitSettings, log_level, read_settings, root
from init_container.volumes import folder_of, write_termination_message
from init_container.watching import LogProgress
from resolver.report import failure, success, termination_message
from resolver.resolve import resolve
from resolver.retry import Attempts, Clock, persistently
from resolver.run import Resolved
from resolver.settings import ResolveSettings
from resolver.signals import ending_on_signals
from resolver.sources.choose import Sources
from resolver.sources.outside import Outside, open_outside
from resolver.sources.staged import StagedSource
from staging_io.http import HttpClient, HttpSettings
from staging_io.logs import fields, log_to_stderr
from staging_io.staging import StagingClient
from staging_protocol.api.reports import Report
from staging_protocol.errors import InternalError, StagingError

_REPORT_PATIENCE: Final = 1.0
"""Seconds that the server gets to take the report: it must not keep Spark waiting, nor a pod that shall end."""

log = logging.getLogger("spark_staging.init")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    _refuse(sys.argv[1:] if arguments is None else arguments)
    log_to_stderr(level=log_level())
    started = time.monotonic()
    try:
        settings = read_settings()
    except StagingError as error:
        log.error(error.detail, extra=fields(code=error.code))  # noqa: TRY400 - a traceback helps nobody here
        report = failure(error, role="unknown", pod="unknown", seconds=0.0)
        write_termination_message(termination_message(report), root=root())
        return error.exit_code
    return _run(settings, started=started)


def _refuse(arguments: Sequence[str]) -> None:
    """Explain, or complain, when there are arguments: there are none to take."""
    if arguments:
        import argparse  # 12 ms, and pods give none

        what = "Bring the dependencies of a Spark job into the volumes of its pod. Settings come by environment."
        argparse.ArgumentParser(prog="spark-staging-init", description=what).parse_args(arguments)


def _run(settings: InitSettings, *, started: float) -> int:
    http = HttpClient(http_settings(settings))
    client = StagingClient(
        url=settings.url, token=settings.token, http=http, allow_plain_http=settings.allow_plain_http
    )
    identity = {"role": settings.role.value, "pod": settings.pod}
    watching = LogProgress()
    try:
        with ending_on_signals():
            resolved = _resolve(settings, client=client, watching=watching)
        report = success(resolved, **identity, seconds=_since(started))
        log.info("resolved", extra=fields(**_summary(report, watching)))
    except StagingError as error:
        report = failure(error, **identity, seconds=_since(started))
        log.error(error.detail, extra=fields(**_summary(report, watching)))  # noqa: TRY400 - a traceback helps nobody here
    except Exception as error:
        report = failure(InternalError(f"a bug: {error!r}"), **identity, seconds=_since(started))
        log.exception("a bug in spark-staging-init", extra=fields(**_summary(report, watching)))
    write_termination_message(termination_message(report), root=settings.root)
    _send(report, client=client, settings=settings)
    return report.exit_code


def http_settings(settings: InitSettings) -> HttpSettings:
    """Return how the pod reaches other machines."""
    return HttpSettings(
        connections=settings.connections, ca_file=settings.ca_file, proxies=settings.proxies,
        no_proxy=settings.no_proxy, user_agent="spark-staging-init",
    )  # fmt: skip


def _outside(settings: InitSettings) -> Outside:
    return open_outside(
        settings.sources,
        secrets=settings.source_secrets,
        base=http_settings(settings),
        environment=settings.environment,
    )


def _resolve(settings: InitSettings, *, client: StagingClient, watching: LogProgress) -> tuple[Resolved, ...]:
    resolving = ResolveSettings(deadline=settings.deadline, connections=settings.connections)
    attempts = Attempts("the manifest", resolving.retry, Clock(settings.deadline), watching.retrying)
    manifest = persistently(partial(client.manifest, settings.namespace, settings.bundle), attempts=attempts)
    return resolve(
        manifest,
        folder_of=partial(folder_of, files_in=settings.files_in, root=settings.root),
        sources=Sources(
            _outside(settings),
            staged=partial(StagedSource, client, namespace=settings.namespace, bundle=settings.bundle),
        ),
        settings=resolving,
        observer=watching,
    )


def _send(report: Report, *, client: StagingClient, settings: InitSettings) -> None:
    def send() -> None:
        try:
            client.report(settings.namespace, settings.bundle, report)
        except StagingError as error:
            log.warning("the server did not take the report", extra=fields(why=error.detail))

    thread = threading.Thread(target=send, name="report", daemon=True)
    thread.start()
    thread.join(_REPORT_PATIENCE)


def _summary(report: Report, watching: LogProgress) -> dict[str, object]:
    return {
        "outcome": report.outcome.value, "exit_code": int(report.exit_code), "seconds": report.seconds,
        "files": report.files, "reused": report.reused, "size": report.size, "code": report.code,
        **watching.summary(seconds=report.seconds),
    }  # fmt: skip


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
