"""The command `spark-staging`.

Commands are imported when they are called: `--help` of one does not pay for the libraries of another.  Standard output
is data, standard error is chatter.  Exit codes are those of `staging_protocol.errors.ExitCode`; 130 means Ctrl-C.
"""

import importlib
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click

from staging_protocol.errors import ExitCode, Terminated

_COMMANDS: Final = {
    "submit": ("submission.commands.submit", "Submit a job to Kubernetes as spark-submit does, without a JVM."),
    "explain": ("submission.commands.explain", "Say where each dependency comes from and goes to."),
    "list": ("submission.commands.list", "List the jobs whose drivers are there."),
    "status": ("submission.commands.status", "Say what jobs are doing, or how they ended."),
    "logs": ("submission.commands.logs", "Print the log of a job's driver, or of one of its executors."),
    "kill": ("submission.commands.kill", "End jobs."),
    "stage": ("submission.commands.stage", "Stage local dependencies and print the bundle."),
    "template": ("submission.commands.template", "Stage, and write pod templates and --conf lines for spark-submit."),
    "run": ("submission.commands.run", "Stage what a spark-submit command names, and run it."),
    "bundles": ("submission.commands.bundles", "List, show, delete, explain, bind, pin and prune bundles."),
    "check": ("submission.commands.check", "Say whether dependencies can be reached, and what they are."),
    "lock": ("submission.commands.lock", "Write down what each dependency is into deps.lock.json."),
    "verify": ("submission.commands.verify", "Say whether everything is still as it was locked."),
    "diff": ("submission.commands.diff", "Show what is different between locks, or a lock and what is there."),
    "doctor": ("submission.commands.doctor", "Say whether everything is there that a job needs, and what to do."),
    "resolve": ("submission.commands.resolve", "Download what a manifest names into a folder."),
}
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import one command."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).COMMAND
        assert isinstance(command, click.Command)  # noqa: S101 - every module of the table has one
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's call
    if value:
        from importlib.metadata import version  # 20 ms

        click.echo(f"spark-staging {version('spark-staging')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
def cli() -> None:
    """Stage the local dependencies of Spark jobs, so that their pods have them before Spark starts.

    \b
    Settings come from flags, then SPARK_STAGING_... variables, then
    $SPARK_STAGING_CONFIG or ~/.config/spark-staging/config.toml:
      SPARK_STAGING_URL         URL of the staging server
      SPARK_STAGING_TOKEN_FILE  file with the access token (never an argument)
      SPARK_STAGING_SERVICE_ACCOUNT
                                who to be where the server knows callers by
                                Kubernetes; KUBECONFIG as kubectl
      SPARK_STAGING_NAMESPACE   Kubernetes namespace

    \b
    Shell completion (bash; also zsh and fish):
      eval "$(_SPARK_STAGING_COMPLETE=bash_source spark-staging)"

    \b
    Exit codes: 0 done, 2 usage, 40 not found, 41 denied, 42 digest mismatch, 43 no space, 44 unavailable,
    45 deadline, 46 refused by policy, 47 bad archive, 48 bundle expired, 130 interrupted, 143 terminated.
    """  # noqa: D301 - \b is click's mark for text that keeps its lines


def main() -> NoReturn:
    """Run the command of `sys.argv` and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(prog_name="spark-staging", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; run the same command again to go on, what was staged is kept", err=True)
        code = _INTERRUPTED
    except Terminated:
        code = ExitCode.TERMINATED
    except BrokenPipeError:  # the reader of our output has left, which is not an error (`… | head`)
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated("the command was asked to end")
