"""KServe's storage initializer: `Storage.download` of one URI after the other, as its entry point does it."""

import json
import sys

from kserve_storage import Storage

if __name__ == "__main__":
    task = json.load(sys.stdin)
    for uri in task["uris"]:
        Storage.download(uri, task["into"])
