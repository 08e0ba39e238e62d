"""boto3's `download_file`, as its documentation shows it, ten files at a time."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

task = json.load(sys.stdin)
client = boto3.client(
    "s3", endpoint_url=task["endpoint"], region_name=task["region"],
    aws_access_key_id=task["key"], aws_secret_access_key=task["secret"],
)  # fmt: skip
into = Path(task["into"])
with ThreadPoolExecutor(10) as pool:
    list(
        pool.map(
            lambda name: client.download_file(task["bucket"], task["folder"] + name, str(into / name)), task["names"]
        )
    )
