"""google-cloud-storage's transfer_manager: chunks of one large file, or many files, by its own worker processes."""

import json
import sys
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client, transfer_manager

if __name__ == "__main__":
    task = json.load(sys.stdin)
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    client = Client(project="benchmarks", credentials=nobody, client_options={"api_endpoint": task["endpoint"]})
    bucket, names, into = client.bucket(task["bucket"]), task["names"], Path(task["into"])
    if len(names) == 1:
        transfer_manager.download_chunks_concurrently(bucket.blob(names[0]), str(into / names[0]))
    else:
        done = transfer_manager.download_many_to_path(
            bucket, names, destination_directory=str(into), worker_type=transfer_manager.THREAD, max_workers=16
        )
        sys.exit(next((f"{found}" for found in done if isinstance(found, Exception)), 0))
