"""Which addresses may be reached: rules by network, of which the most specific one decides (pure).

Refused from the beginning is what is no place for dependencies: the pod itself, what clouds give credentials at, and
what is no address of one host.  A rule of the settings that is as specific, or more, decides instead.

An IPv6 address that stands for an IPv4 one is decided on as that (IPv4-mapped, RFC 4291; NAT64, RFC 6052), or as both
(6to4, RFC 3056; Teredo, RFC 4380).
"""

import re
import socket
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import Networks

_MAY_BE_ADDRESS: Final = re.compile(r"[0-9a-fx.]+|[0-9a-f:.]+(%.*)?")
_MAPPED: Final = 0xFFFF
_NAT64: Final = 0x64FF9B << 64
_6TO4: Final = 0x2002
_TEREDO: Final = 0x20010000
_V4: Final = 0xFFFF_FFFF
_LONG: Final = 128
"""Bits of an IPv6 address."""


class Rule(NamedTuple):
    """What holds for the addresses of `bits` bits whose first `prefix` bits are those of `network`."""

    bits: int
    network: int
    prefix: int
    allows: bool
    why: str
    """What the network is, as told to a person: its text in the settings, or what it is for."""
    is_built_in: bool = False

    def covers(self, bits: int, address: int) -> bool:
        """Tell whether the rule is about an address."""
        return bits == self.bits and (address ^ self.network) >> (bits - self.prefix) == 0


class NetworkRules:
    """The rules of the settings over those from the beginning."""

    def __init__(self, networks: Networks) -> None:
        self._rules = (
            *_BUILT_IN,
            *_rules(networks.deny, allows=False, field="deny"),
            *_rules(networks.allow, allows=True, field="allow"),
        )

    def refusal(self, address: str) -> Rule | None:
        """Return the rule by which an address, as `getaddrinfo` writes it, is refused; None when it is not."""
        for bits, value in _meanings(*_parsed(address)):
            found = [rule for rule in self._rules if rule.covers(bits, value)]
            best = max(found, key=lambda rule: (rule.prefix, rule.allows, rule.is_built_in), default=None)
            if best is not None and not best.allows:
                return best
        return None


def written_address(host: str) -> str | None:
    """Return the address that `host` is, in its usual form; None for a name.

    Notations are those that resolvers of names understand: 2852039166, 0xa9fea9fe and 0251.0376.43518 are one address.
    """
    if not _MAY_BE_ADDRESS.fullmatch(host):
        return None
    try:
        if ":" in host:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host.partition("%")[0]))
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _parsed(address: str) -> tuple[int, int]:
    """Return number of bits and value.  A zone (`fe80::1%eth0`) says which interface, not which network."""
    if ":" in address:
        return _LONG, int.from_bytes(socket.inet_pton(socket.AF_INET6, address.partition("%")[0]))
    return 32, int.from_bytes(socket.inet_pton(socket.AF_INET, address))


def _meanings(bits: int, value: int) -> Iterator[tuple[int, int]]:
    if bits == _LONG and (value >> 32 == _MAPPED or value >> 32 == _NAT64):
        yield 32, value & _V4
        return
    yield bits, value
    if bits == _LONG and value >> 112 == _6TO4:
        yield 32, value >> 80 & _V4
    if bits == _LONG and value >> 96 == _TEREDO:
        yield 32, ~value & _V4


def _rules(texts: Iterable[str], *, allows: bool, field: str) -> Iterator[Rule]:
    for text in texts:
        try:
            yield _rule(text, allows=allows, why=text)
        except (OSError, ValueError) as error:
            msg = f"{text!r} in egress.networks.{field} of sources.json is no network"
            raise InvalidRequest(msg) from error


def _rule(text: str, *, allows: bool, why: str, is_built_in: bool = False) -> Rule:
    address, slash, length = text.partition("/")
    bits, value = _parsed(address)
    prefix = int(length) if slash else bits
    if not 0 <= prefix <= bits:
        raise ValueError(text)
    meaning, embedded = next(_meanings(bits, value))
    if meaning != bits and prefix >= bits - meaning:  # a part of ::ffff:0:0/96 is a network of IPv4
        bits, value, prefix = meaning, embedded, prefix - (bits - meaning)
    value = value >> (bits - prefix) << (bits - prefix)
    return Rule(bits, value, prefix, allows, why, is_built_in)


_BUILT_IN: Final = tuple(
    _rule(network, allows=False, why=why, is_built_in=True)
    for network, why in (
        # IANA's registries of special-purpose addresses (RFC 6890 and its successors).
        ("0.0.0.0/8", "unspecified"), ("::/128", "unspecified"),
        ("127.0.0.0/8", "loopback"), ("::1/128", "loopback"),
        ("169.254.0.0/16", "link-local, where clouds give credentials"),
        ("fe80::/10", "link-local"),
        ("224.0.0.0/4", "multicast"), ("ff00::/8", "multicast"),
        ("240.0.0.0/4", "reserved"),
        # All but 2000::/3 (global), fc00::/7 (unique local) and what is said above.
        ("::/3", "reserved"), ("4000::/2", "reserved"), ("8000::/2", "reserved"), ("c000::/3", "reserved"),
        ("e000::/4", "reserved"), ("f000::/5", "reserved"), ("f800::/6", "reserved"), ("fe00::/7", "reserved"),
        # Where clouds give credentials: AWS (instances; pods), Google, Alibaba, Oracle, Azure.
        ("fd00:ec2::254", "an address of a cloud's metadata"), ("fd00:ec2::23", "an address of a cloud's metadata"),
        ("fd20:ce::254", "an address of a cloud's metadata"),
        ("100.100.100.200", "an address of a cloud's metadata"), ("192.0.0.192", "an address of a cloud's metadata"),
        ("168.63.129.16", "an address of a cloud's metadata"),
    )
)  # fmt: skip
