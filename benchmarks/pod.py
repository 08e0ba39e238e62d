"""What a pod gives to the init container, below a folder of the harness: environment, token and empty volumes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.staging import NAMESPACE, Bundle, StagingServer, program
from staging_protocol import pod_contract
from staging_protocol.pod_contract import Role
from staging_protocol.sources import SourceSettings
from staging_protocol.wire import encode

_ROOT: Final = "SPARK_STAGING_ROOT"
"""The folder before all paths of the contract (init_container.settings)."""


class Pod:
    """One new pod of the job that has `bundle`; `root`, an empty folder, is its file system."""

    def __init__(
        self,
        server: StagingServer,
        *,
        bundle: Bundle,
        root: Path,
        sources: SourceSettings | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Take what the job's remote dependencies need besides: `sources.json`, and variables for credentials."""
        self.command: tuple[str, ...] = (program("spark-staging-init"),)
        self.environment: Mapping[str, str] = {
            pod_contract.ENV_URL: server.url,
            pod_contract.ENV_BUNDLE: bundle.id,
            pod_contract.ENV_NAMESPACE: NAMESPACE,
            pod_contract.ENV_ROLE: Role.EXECUTOR,
            pod_contract.ENV_POD: "benchmark",
            _ROOT: str(root),
            **(environment or {}),
        }
        for folder in (pod_contract.DATA_FOLDER, pod_contract.WORK_FOLDER, pod_contract.SECRET_FOLDER, "/dev"):
            (root / folder.lstrip("/")).mkdir(parents=True)
        token = root / pod_contract.SECRET_FOLDER.lstrip("/") / pod_contract.TOKEN_KEY
        token.touch(mode=0o600)
        token.write_text(bundle.token.text)
        if sources is not None:
            settings = root / pod_contract.SETTINGS_FOLDER.lstrip("/")
            settings.mkdir(parents=True)
            (settings / pod_contract.SOURCES_KEY).write_bytes(encode(sources))
