"""Putting cyclic redundancy checks together: the CRC of two pieces of bytes from the CRC of each.

A CRC is the remainder of a polynomial over GF(2).  Bytes that follow multiply what stands before them by x^8 each, so

    crc(first + second) = crc(first) · x^(8 · size of second) + crc(second)      modulo the CRC's polynomial

and nothing has to be read again.  Polynomials are written with the lowest power in the highest bit, as both CRCs have
them (RFC 1952, section 8; RFC 3720, appendix B.4).
"""

from functools import lru_cache
from typing import Final

POLYNOMIALS: Final = {"crc32": 0xEDB88320, "crc32c": 0x82F63B78}
"""By algorithm (ISO 3309; Castagnoli 1993)."""

_ONE: Final = 1 << 31
"""x^0."""

_EIGHT: Final = 1 << 23
"""x^8: one byte."""


def combined(first: int, second: int, *, size: int, algorithm: str) -> int:
    """Return the CRC of two pieces, where `size` is the number of bytes of the second."""
    polynomial = POLYNOMIALS[algorithm]
    return _product(_power(size, polynomial), first, polynomial) ^ second


@lru_cache(maxsize=64)  # the parts of a file have two sizes or three
def _power(size: int, polynomial: int) -> int:
    """Return x^(8 · size), by squaring."""
    result, square = _ONE, _EIGHT
    while size:
        if size & 1:
            result = _product(square, result, polynomial)
        square = _product(square, square, polynomial)
        size >>= 1
    return result


def _product(left: int, right: int, polynomial: int) -> int:
    result = 0
    while left:
        if left & _ONE:
            result ^= right
        left = (left << 1) & 0xFFFFFFFF
        right = right >> 1 ^ polynomial if right & 1 else right >> 1
    return result
