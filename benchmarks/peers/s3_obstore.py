"""obstore (Rust): streams of its `get`, some at a time."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from obstore.store import S3Store

task = json.load(sys.stdin)
store = S3Store(
    task["bucket"], endpoint=task["endpoint"], region=task["region"], virtual_hosted_style_request=False,
    access_key_id=task["key"], secret_access_key=task["secret"], client_options={"allow_http": True},
)  # fmt: skip
into = Path(task["into"])


def _bring(name: str) -> None:
    with (into / name).open("wb") as file:
        for piece in store.get(task["folder"] + name).stream(min_chunk_size=1024 * 1024):
            file.write(piece)


with ThreadPoolExecutor(16) as pool:
    list(pool.map(_bring, task["names"]))
