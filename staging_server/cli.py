"""The command `spark-staging-server`: serve, sweep, policy, migrate, check, import, and the file of access tokens.

Exit codes: 0 done; 2 usage, settings, or a start that cannot succeed; else that of the error.  An error is one plain
line on standard error, without a traceback.
"""

import click

from staging_server.commands.import_report import import_report
from staging_server.commands.maintenance import check, migrate, sweep
from staging_server.commands.policy import policy
from staging_server.commands.serve import serve
from staging_server.commands.tokens import tokens


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spark-staging", prog_name="spark-staging-server")
def main() -> None:
    """Keep bundles of dependencies for Spark jobs, and serve them to their pods.

    Every setting can be given in the environment as SPARK_STAGING_SERVER_<GROUP>__<NAME>; docs/settings.md lists them.
    """


for _command in (serve, sweep, policy, migrate, check, import_report, tokens):
    main.add_command(_command)

if __name__ == "__main__":
    main()
