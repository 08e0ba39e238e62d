"""`import --report`: what stock Spark left behind, before anything of it is brought here."""

import re
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from staging_protocol.errors import ExitCode
from staging_server.commands.frame import plain_errors, settings_of
from staging_server.sizes import human_size

if TYPE_CHECKING:
    from staging_server.leak_report.judging import Jobs
    from staging_server.leak_report.making import WasRead
    from staging_server.leak_report.stores import UploadStore
    from staging_server.leak_report.summing import Rules
    from staging_server.settings import KubernetesSettings

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST: Final = timedelta(days=36_500)
_TOLD_EVERY: Final = 64 * 1024 * 1024
"""Bytes; a line for each small file would cost more than reading it."""


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([mhdw])", value)
        duration = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
        if duration is None or duration > _LONGEST:
            self.fail(f"{value!r} is no duration such as 30m, 12h, 7d or 4w", param, ctx)
        return duration


@click.command("import")
@click.option("--report", "place", metavar="PATH", required=True, help="Folder to look at, or s3a://BUCKET/PREFIX.")
@click.option("--older-than", type=_Duration(), metavar="7d", help="Only folders written longer ago: 30m, 12h, 7d, 4w.")
@click.option("--price", type=click.FloatRange(min=0), metavar="NUMBER", help="Price of a GiB for a month.")
@click.option("--context", help="Context of the kubeconfig; asks Kubernetes.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig; asks Kubernetes.")
@click.option(
    "--namespace", "namespaces", multiple=True, help="Where jobs use the path; repeat for more. Default: everywhere."
)
@click.option("--compare/--no-compare", default=True, help="Whether to read files of the same size for equal content.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "paths"]), default="text", help="What to print.")
def import_report(**options: Any) -> None:
    """Find what stock Spark left below spark.kubernetes.file.upload.path; read only.

    For each spark-upload-... folder: size, age, cost, and whether a live job names it, which Kubernetes is asked for
    when --context or --kubeconfig is given or the server's settings name a cluster: pods of drivers and their
    ConfigMaps, and applications of both operators.  `no live job names it` is said only when everything was asked and
    answered, and of folders that are older than a day.

    -o json prints the whole report; -o paths prints the folders that no live job names, each ended by NUL.

    Exit codes: 41 something could not be read, 44 Kubernetes did not say everything; what was found is printed.

    \b
    Examples:
      spark-staging-server import --report /mnt/uploads --price 0.023
      spark-staging-server import --report /mnt/uploads --context prod --older-than 30d
      spark-staging-server import --report s3a://lake/spark-uploads --context prod
    """  # noqa: D301 - click's mark for lines that are kept is the character itself
    from staging_server.leak_report.places import open_store
    from staging_server.leak_report.summing import Rules
    from staging_server.times import utc_now

    with plain_errors(), ExitStack() as stack:
        now = utc_now()  # before Kubernetes is asked: what is written later is young
        store = stack.enter_context(open_store(options["place"]))
        rules = Rules(jobs=_jobs(options), now=now, older_than=options["older_than"], price=options["price"])
        unread = _print_paths(store, rules) if options["output"] == "paths" else _print_report(store, rules, options)
        if unread:
            sys.exit(ExitCode.DENIED)
        if rules.jobs.problems:
            sys.exit(ExitCode.UNAVAILABLE)


def _print_report(store: "UploadStore", rules: "Rules", options: dict[str, Any]) -> int:
    """Print the report; return how much could not be read."""
    import msgspec

    from staging_server.leak_report.deletion import delete_command
    from staging_server.leak_report.making import make_report
    from staging_server.leak_report.shown import shown

    delete = delete_command(list(_arguments(store, options)), deletes=store.deletes)
    report = make_report(store, rules, delete=delete, was_read=_progress() if options["compare"] else None)
    if options["output"] == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        for line in shown(report):
            click.echo(line)
    return report.unreadable_count


def _print_paths(store: "UploadStore", rules: "Rules") -> int:
    """Print the paths that may go; return how much could not be read."""
    from staging_protocol.printable import printable
    from staging_server.leak_report.deletion import unnamed_paths
    from staging_server.leak_report.stores import Problems

    problems = Problems()
    for path in unnamed_paths(store, rules, problems=problems):
        click.echo(path, nl=False)
    for text in (*rules.jobs.problems, *(f"{path}: {reason}" for path, reason in problems.first)):
        click.echo(f"spark-staging-server: {printable(text)}", err=True)
    return problems.count


def _arguments(store: "UploadStore", options: dict[str, Any]) -> list[str]:
    """Return the command line that looks at the same again, from any working folder."""
    words = ["--report", store.shown("")]
    if (older_than := options["older_than"]) is not None:
        words += ["--older-than", _duration_word(older_than)]
    if options["context"] is not None:
        words += ["--context", options["context"]]
    if options["kubeconfig"] is not None:
        words += ["--kubeconfig", str(options["kubeconfig"].absolute())]
    return words + [word for namespace in options["namespaces"] for word in ("--namespace", namespace)]


def _duration_word(duration: timedelta) -> str:
    minutes = duration // timedelta(minutes=1)
    return f"{minutes}m" if minutes % 1440 else f"{minutes // 1440}d"


def _jobs(options: dict[str, Any]) -> "Jobs":
    """Ask Kubernetes, if it is known which."""
    import asyncio

    from staging_protocol.errors import InvalidRequest
    from staging_server.leak_report.judging import NOT_ASKED
    from staging_server.namespaces import checked_namespace
    from staging_server.settings import Connect

    namespaces = tuple(map(checked_namespace, options["namespaces"]))
    settings = _cluster(options)
    if settings.connect is not Connect.NO:
        return asyncio.run(_asked(settings, namespaces))
    if namespaces or options["output"] == "paths":
        msg = "Kubernetes has to be asked for this: give --context or --kubeconfig"
        raise InvalidRequest(msg)
    return NOT_ASKED


def _cluster(options: dict[str, Any]) -> "KubernetesSettings":
    """Return how to reach Kubernetes: as the command line says, else as the server would."""
    from staging_server.settings import Connect

    settings = settings_of().kubernetes
    named = {name: options[name] for name in ("kubeconfig", "context") if options[name] is not None}
    return settings.model_copy(update={**named, "connect": Connect.KUBECONFIG}) if named else settings


async def _asked(settings: "KubernetesSettings", namespaces: tuple[str, ...]) -> "Jobs":
    from staging_server.cluster.api import open_cluster_api
    from staging_server.leak_report.live_jobs import ask

    async with open_cluster_api(settings) as api:
        return await ask(api, namespaces=namespaces, page_size=settings.page_size)


def _progress() -> "WasRead":
    """Return what tells on a terminal how much was read."""
    read = told = 0

    def was_read(size: int) -> None:
        nonlocal read, told
        read += size
        if sys.stderr.isatty() and read - told >= _TOLD_EVERY:
            told = read
            click.echo(f"\rread {human_size(read)} \r", nl=False, err=True)

    return was_read
