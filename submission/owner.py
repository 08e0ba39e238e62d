"""The owner of a bundle as people write it: `[API_VERSION/]KIND/NAME`.  Pure.

Kinds are found in any letter case.  A kind that two operators have needs its API version:
`spark.apache.org/v1/SparkApplication/nightly`.
"""

from typing import Final

from staging_protocol.errors import InvalidRequest
from staging_protocol.owners import OWNER_KINDS, OwnerReference, check_owner

FORM: Final = "[API_VERSION/]KIND/NAME"


def parse_owner(text: str, *, uid: str | None = None) -> OwnerReference:
    """Return the owner that `text` names; without `uid` it may not exist yet.

    Raises:
        InvalidRequest: it is not of that form, cannot own a bundle, or could be one of several kinds.
    """
    *version_parts, kind, name = text.split("/") if "/" in text else ("", text)
    if not kind:
        msg = f"an owner is given as {FORM}, for example Pod/my-driver, not {text!r}"
        raise InvalidRequest(msg)
    version = "/".join(version_parts)
    known = sorted(
        (of_version, of_kind)
        for of_version, of_kind in OWNER_KINDS
        if of_kind.lower() == kind.lower() and version in {"", of_version}
    )
    if len(known) > 1:
        forms = " or ".join(f"{of_version}/{of_kind}/{name}" for of_version, of_kind in known)
        msg = f"several operators have the kind {known[0][1]}; write {forms}"
        raise InvalidRequest(msg)
    api_version, kind = known[0] if known else (version or "v1", kind)
    return check_owner(OwnerReference(api_version=api_version, kind=kind, name=name, uid=uid))
