"""What the tests run in the place of spark-submit: it records how it was called, and does what FAKE says.

FAKE=pod    a driver pod appears in the fake Kubernetes; ends with 5 when the bundle's Secret belongs to the pod
FAKE=quick  a driver pod appears; ends with 0 at once
FAKE=fail   ends with 3, no pod appears
FAKE=wait   ends with 7 when it gets SIGTERM
"""

import json
import os
import re
import signal
import sys
import time
import urllib.request
from pathlib import Path

API = os.environ.get("FAKE_API", "")  # noqa: TID251 - a program of its own


def main() -> int:
    mode = os.environ["FAKE"]  # noqa: TID251 - as above
    files = {path: Path(path).read_text() for path in re.findall(r"=(/\S+\.yaml)", "\n".join(sys.argv))}
    record = {"argv": sys.argv[1:], "env": dict(os.environ), "files": files}  # noqa: TID251 - as above
    record["cmdline"] = Path("/proc/self/cmdline").read_text()
    record["parent"] = Path(f"/proc/{os.getppid()}/cmdline").read_text()
    target = Path(os.environ["FAKE_RECORD"])  # noqa: TID251 - as above
    bundle = re.search(r"label\.spark-staging\.io/bundle=(\S+)", "\n".join(sys.argv))
    if mode == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    if mode in {"pod", "quick"} and bundle:
        pod = {"name": "demo-driver", "uid": "uid-1", "labels": {"spark-staging.io/bundle": bundle[1]}}
        call("POST", "/test/pods", pod)
    target.with_suffix(".part").write_text(json.dumps(record))
    target.with_suffix(".part").rename(target)
    if mode == "wait":
        time.sleep(60)
    if mode == "pod" and bundle:
        end = time.monotonic() + 30
        while time.monotonic() < end and not call("GET", "/test/owners"):
            time.sleep(0.05)
        return 5
    return {"fail": 3}.get(mode, 0)


def call(method: str, path: str, body: object = None) -> object:
    request = urllib.request.Request(API + path, method=method, data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


sys.exit(main())
