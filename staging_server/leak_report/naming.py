"""How stock Spark names what it uploads: `<upload path>/spark-upload-<random UUID>/<name of the file>`.

One folder for each file, made by `KubernetesUtils.uploadFileUri`, and the same from 3.0 to 4.3.  The upload path may
itself have parts that change (by month, say), so these folders lie anywhere below where one looks.
"""

import re
from typing import Final

_FOLDER: Final = r"spark-upload-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(_FOLDER)
_IN_TEXT: Final = re.compile(_FOLDER.encode("ascii"))


def is_upload_folder(name: str) -> bool:
    """Return whether Spark gives such a name."""
    return _NAME.fullmatch(name) is not None


def folders_named_in(content: bytes) -> set[str]:
    """Return the names of all such folders in a text: a URI in properties, an argument, a field of a specification.

    Neither JSON nor Java properties escape any character of them.
    """
    return {found.decode("ascii") for found in _IN_TEXT.findall(content)}
