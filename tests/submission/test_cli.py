"""The command as a whole: version, help, and what it imports."""

import shutil
import subprocess
import sys

import click

from submission.cli import cli
from tests.submission.conftest import PROGRAMS


def test_version_and_help_import_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from submission.cli import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'kubernetes', 'rich', 'yaml', 'pydantic', 'stamina', 'urllib3', 'msgspec'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_staging_does_not_import_what_only_run_needs() -> None:
    script = (
        "import sys\n"
        "import submission.staging.stage, submission.commands.stage\n"
        "print(sorted({'kubernetes', 'rich', 'yaml'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)

    assert done.stdout == "[]\n"


def test_every_command_and_option_is_explained_and_has_an_example() -> None:
    def check(command: click.Command, path: str) -> None:
        assert command.help, path
        assert "xample" in command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.opts}"
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), name)
                assert found is not None
                check(found, f"{path} {name}")

    for name in cli.list_commands(click.Context(cli)):
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        check(found, name)


def test_the_version_is_printed() -> None:
    assert shutil.which("spark-staging", path=PROGRAMS)
    done = subprocess.run([PROGRAMS / "spark-staging", "--version"], text=True, capture_output=True, check=True)

    assert done.stdout.startswith("spark-staging ")
