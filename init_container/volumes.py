"""Where things lie in the pod: the folders of each kind, and the file that Kubernetes reads at the end."""

from pathlib import Path

from init_container.settings import below
from staging_protocol import pod_contract
from staging_protocol.manifest import Kind
from staging_protocol.pod_contract import FilesIn


def folder_of(kind: Kind, *, files_in: FilesIn, root: Path) -> Path:
    """Return the folder on a shared volume in which a dependency of `kind` appears."""
    return below(root, pod_contract.folder_of(kind, files_in=files_in))


def write_termination_message(message: bytes, *, root: Path) -> None:
    """Leave the message where the kubelet looks for it; outside a pod there is no such place, and that is fine."""
    path = below(root, pod_contract.TERMINATION_MESSAGE)
    try:
        with path.open("wb", buffering=0) as file:
            file.write(message)
    except OSError:
        # The same report goes to the server and into the log.
        return
