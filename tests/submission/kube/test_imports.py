"""The client starts fast: it does without the library, and loads what it needs when it needs it."""

import ast
import subprocess
import sys
from pathlib import Path

import submission

SLOW = ("kubernetes", "pydantic", "requests", "stamina", "subprocess", "tempfile", "urllib3", "yaml")


def test_nothing_of_the_client_imports_the_library() -> None:
    (folder,) = submission.__path__
    for path in Path(folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] == "kubernetes"], path


def test_loading_the_client_loads_nothing_slow() -> None:
    code = f"import sys, submission.kube.connect; print(sorted(set({SLOW!r}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
