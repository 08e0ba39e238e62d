"""Load behind a measurement: readers and uploaders that go on until standard input ends, as fast as they can.

A thread for each, with blocking calls, so that the kernel does nearly everything: bodies are discarded (MSG_TRUNC,
tcp(7)) or sent from a file (sendfile).  Readers keep their connections; so do uploaders, each of which has a list of
uploads and stops at its end.
"""

import json
import socket
import sys
import threading
from collections import Counter
from typing import Any, Final

from benchmarks.clients.upload import Request, Result, Uploader

_HEAD: Final = 64 * 1024
_AT_ONCE: Final = 4 * 1024 * 1024
_NUMBERS: Final = threading.Lock()


def _read_for_ever(address: tuple[str, int], request: bytes, counts: Counter[str]) -> None:
    waste = bytearray(_AT_ONCE)
    while True:
        try:
            with socket.create_connection(address) as connection:
                while True:
                    connection.sendall(request)
                    size = _read_answer(connection, waste)
                    with _NUMBERS:
                        counts["reads"] += 1
                        counts["bytes read"] += size
        except OSError:
            with _NUMBERS:
                counts["errors"] += 1


def _read_answer(connection: socket.socket, waste: bytearray) -> int:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(_HEAD)
        if not more:
            raise ConnectionResetError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    if head.split(b" ", 2)[1] != b"200":
        raise ConnectionAbortedError
    size = int(fields[b"content-length"])
    left = size - len(body)
    while left > 0:
        count = connection.recv_into(waste, min(left, _AT_ONCE), socket.MSG_TRUNC)
        if count == 0:
            raise ConnectionResetError
        left -= count
    return size


def _upload_all(uploader: Uploader, requests: list[Request], counts: Counter[str]) -> None:
    for request in requests:
        uploader.run([request])
        with _NUMBERS:
            counts["uploads"] += 1
            counts["bytes sent"] += request.count
    with _NUMBERS:
        counts["uploaders at the end of their list"] += 1


def main() -> None:
    """Read the task `{host, port, reads, uploads}`, a line, and print counts when standard input ends."""
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    address, counts, result = (task["host"], task["port"]), Counter[str](), Result()
    for text in task["reads"]:
        threading.Thread(target=_read_for_ever, args=(address, text.encode(), counts), daemon=True).start()
    uploader = Uploader(host=task["host"], port=task["port"], result=result, lock=threading.Lock())
    for requests in task["uploads"]:
        made = [Request(**request) for request in requests]
        threading.Thread(target=_upload_all, args=(uploader, made, counts), daemon=True).start()
    sys.stdin.read()
    with _NUMBERS:
        counts["errors"] += result.errors
        print(json.dumps({**counts, "said": result.said}), flush=True)


if __name__ == "__main__":
    main()
