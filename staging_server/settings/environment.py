"""Names in the environment that look like settings and are none.

A misspelt one would be ignored silently, and the server would work with a default instead: in another folder, say.
Kubernetes adds names of its own to each pod for every Service of the namespace; those of a Service with our prefix
(`spark-staging-server`, `spark-staging-server-metrics`) must not keep the server from starting.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Final

from staging_protocol.errors import InvalidRequest

_OF_SERVICE: Final = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_PORT_OF_SERVICE: Final = re.compile(r"(tcp|udp|sctp)://.*")


def check_names(environment: Mapping[str, str], *, prefix: str, known: Collection[str]) -> None:
    """Refuse names that begin with `prefix` and do not go on as one of `known`, in any case.

    Raises:
        InvalidRequest: there is one, with the name that was probably meant; or a Service has taken the name of `PORT`.
    """
    for name, value in environment.items():
        if not name.upper().startswith(prefix):
            continue
        rest = name.upper().removeprefix(prefix)
        of_service = _PORT_OF_SERVICE.fullmatch(value) is not None
        if rest == "PORT" and of_service:
            msg = (
                f"{name} is {value!r}, which Kubernetes has set for a Service of this name; set enableServiceLinks: "
                "false in the pod"
            )
            raise InvalidRequest(msg)
        if rest not in known and not of_service and not _OF_SERVICE.fullmatch(rest):
            close = difflib.get_close_matches(rest, known, n=1, cutoff=0)
            msg = f"{name} is not a setting; did you mean {prefix}{close[0]}?"
            raise InvalidRequest(msg)
