"""The package `hdfs`: its client's own download of a folder, by threads."""

import json
import sys

from hdfs import InsecureClient

task = json.load(sys.stdin)
client = InsecureClient(task["endpoint"], user=task["user"])
client.download(task["folder"], task["into"], overwrite=True, n_threads=8, chunk_size=1 << 20)
