"""A child: `python -m staging_server.workers reader-1 --listener=FD --channel=FD`, run by the parent only."""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import sys
from typing import Final

from staging_protocol.errors import StagingError
from staging_server.log_format import LogFormat
from staging_server.logs import configured
from staging_server.process_memory import share_arenas
from staging_server.workers.channel import first_message
from staging_server.workers.child import Child, Told
from staging_server.workers.messages import Role

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2): which signal this process gets when its parent ends."""


def main() -> int:
    """Serve until the parent says otherwise, or is gone."""
    parser = argparse.ArgumentParser(prog="staging_server.workers", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--channel", type=int, required=True)
    options = parser.parse_args()
    # Also when the event loop hangs, an orphan must not keep the port.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Ctrl-C reaches the whole group of processes; the parent tells its children what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener, channel = socket.socket(fileno=options.listener), socket.socket(fileno=options.channel)
    for inherited in (listener, channel):
        os.set_inheritable(inherited.fileno(), False)
    share_arenas()
    role = Role(options.name.partition("-")[0])
    try:
        told = Told.by(first_message(channel))
        logs = told.settings.logs
        with configured(level=logs.level, plain=logs.format is LogFormat.CONSOLE, process=options.name):
            asyncio.run(Child(told, role=role, listener=listener, channel=channel).run())
    except StagingError as error:
        sys.stderr.write(f"spark-staging-server: {options.name}: {error.detail}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
