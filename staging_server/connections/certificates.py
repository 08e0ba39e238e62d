"""When a certificate ends: the one field of X.509 that the server has to know of its own certificate.

Python's ssl shows the fields of a peer's certificate only, once it is verified.  So the few steps of DER (X.690) that
lead to `notAfter` are taken here (RFC 5280, section 4.1): a certificate is nested elements of tag, size and content.

    Certificate → TBSCertificate → [version], serial number, algorithm, issuer, validity → notBefore, notAfter
"""

import ssl
from datetime import UTC, datetime
from typing import Final

from staging_protocol.errors import InvalidRequest

_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_LONG: Final = 0x80
_END: Final = "-----END CERTIFICATE-----"


def end_of_certificate(pem: str) -> datetime:
    """Return `notAfter` of the first certificate of a PEM text, which is the server's own.

    Raises:
        InvalidRequest: the text has no certificate.
    """
    try:
        first = pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index(_END) + len(_END)]
        return _not_after(memoryview(ssl.PEM_cert_to_DER_cert(first)))
    except (ValueError, IndexError) as error:
        raise InvalidRequest("there is no certificate in PEM form") from error


def _not_after(certificate: memoryview) -> datetime:
    _, content, _ = _element(certificate)
    _, fields, _ = _element(content)
    tag, _, rest = _element(fields)
    if tag == _VERSION:
        _, _, rest = _element(rest)
    for _ in ("algorithm", "issuer"):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)
    tag, moment, _ = _element(rest)
    # UTCTime has two digits of the year, and means 1950 to 2049 by them; GeneralizedTime has four.
    text = bytes(moment).decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: memoryview) -> tuple[int, memoryview, memoryview]:
    """Return tag and content of the first element, and what follows it."""
    tag, size, start = data[0], data[1], 2
    if size >= _LONG:
        start += size - _LONG
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        msg = "an element ends early"
        raise ValueError(msg)
    return tag, data[start : start + size], data[start + size :]
