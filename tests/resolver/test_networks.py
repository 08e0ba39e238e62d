"""Rules by network, against a reference that counts with `ipaddress`."""

import ipaddress
import socket
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolver.networks import NetworkRules, written_address
from staging_protocol.errors import InvalidRequest
from staging_protocol.sources import Networks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
METADATA = {
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
}
SPECIAL = [
    "0.0.0.0",  # noqa: S104 - it is refused
    "127.0.0.1", "169.254.169.254", "169.254.170.2", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "::", "::1", "fe80::1", "ff02::1", "fc00::1", "fec0::1",
    "2001:db8::1", "2606:4700::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808",
    "2002:a9fe:a9fe::1", "2002:808:808::1", "2001:0:1:2:3:4:80ff:fffe", "2001:0:1:2:3:4:f7f7:f7f7", "::7f00:1",
    *map(str, METADATA),
]  # fmt: skip


def meanings(address: Address) -> Iterator[Address]:
    """What an address stands for, by `ipaddress`."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            yield inner
            return
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield address.teredo[1]
    yield address


def built_in_prefix(address: Address) -> int | None:
    """How long the network is for which an address is refused from the beginning; None where it is not."""
    if address in METADATA:
        return address.max_prefixlen
    if isinstance(address, ipaddress.IPv4Address):
        for network in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"):
            if address in ipaddress.ip_network(network):
                return ipaddress.ip_network(network).prefixlen
        return None
    for network in ("::1/128", "::/128", "fe80::/10", "ff00::/8"):
        if address in ipaddress.ip_network(network):
            return ipaddress.ip_network(network).prefixlen
    if any(address in ipaddress.ip_network(network) for network in ("2000::/3", "fc00::/7")):
        return None
    others = ("::/3", "4000::/2", "8000::/2", "c000::/3", "e000::/4", "f000::/5", "f800::/6", "fe00::/7")
    return next(ipaddress.ip_network(n).prefixlen for n in others if address in ipaddress.ip_network(n))


def is_refused(address: Address, *, allow: list[Network], deny: list[Network]) -> bool:
    """The reference: the longest prefix decides, and of equally long ones an allowing one."""

    def refused(one: Address) -> bool:
        allowing = max((network.prefixlen for network in allow if one in network), default=-1)
        denying = max((network.prefixlen for network in deny if one in network), default=-1)
        return max(denying, -1 if (found := built_in_prefix(one)) is None else found) > allowing

    return any(refused(one) for one in meanings(address))


addresses = st.one_of(
    st.sampled_from(SPECIAL).map(ipaddress.ip_address),
    st.ip_addresses(),
    st.ip_addresses(v=4).map(lambda inner: ipaddress.ip_address(f"::ffff:{inner}")),
    st.ip_addresses(v=4).map(lambda inner: ipaddress.IPv6Address(int(NAT64.network_address) + int(inner))),
)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address = draw(addresses)
    longest = address.max_prefixlen
    prefix = draw(st.one_of(st.integers(0, longest), st.sampled_from([0, 8, longest])))
    network = ipaddress.ip_network((address, prefix), strict=False)
    # What is written as IPv4 inside IPv6 is compared as IPv4, and tested below.
    inside = isinstance(network, ipaddress.IPv6Network) and next(meanings(network.network_address)).version == 4
    return draw(networks()) if inside and prefix >= 16 else network


@given(
    address=st.one_of(addresses, networks().map(lambda network: network.network_address)),
    allow=st.lists(networks(), max_size=4),
    deny=st.lists(networks(), max_size=4),
)
@example(address=ipaddress.ip_address("127.0.0.1"), allow=[ipaddress.ip_network("127.0.0.0/8")], deny=[])
def test_the_most_specific_network_decides(address: Address, allow: list[Network], deny: list[Network]) -> None:
    rules = NetworkRules(Networks(allow=tuple(map(str, allow)), deny=tuple(map(str, deny))))
    assert (rules.refusal(str(address)) is not None) == is_refused(address, allow=allow, deny=deny)


@pytest.mark.parametrize(("allow", "deny", "address", "refused"), [
    ((), (), "127.0.0.1", True), (("127.0.0.0/8",), (), "127.0.0.1", False), (("127.0.0.1",), (), "127.0.0.2", True),
    (("0.0.0.0/0",), (), "127.0.0.1", True), (("10.0.0.0/8",), ("0.0.0.0/0",), "10.1.2.3", False),
    (("10.0.0.0/8",), ("0.0.0.0/0",), "11.1.2.3", True), (("10.0.0.0/8",), ("10.1.0.0/16",), "10.1.2.3", True),
    (("10.0.0.0/8",), ("0.0.0.0/0", "::/0"), "2606:4700::1", True), (("::/0",), (), "::1", True),
    (("::ffff:127.0.0.0/104",), (), "127.0.0.1", False), ((), ("::ffff:10.0.0.0/104",), "10.0.0.1", True),
    ((), ("64:ff9b::a00:0/104",), "10.0.0.1", True), (("fe80::/10",), (), "fe80::1%eth0", False),
    ((), (), "fe80::1%eth0", True),
])  # fmt: skip
def test_rules_in_the_settings(allow: tuple[str, ...], deny: tuple[str, ...], address: str, *, refused: bool) -> None:
    assert (NetworkRules(Networks(allow=allow, deny=deny)).refusal(address) is not None) == refused


@pytest.mark.parametrize("text", ["1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4.5/8", "::::/8", "10.0.0.0/", "0x7f.1/8"])
def test_what_is_no_network_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"egress\.networks\.deny"):
        NetworkRules(Networks(deny=(text,)))


@given(st.ip_addresses(v=4), st.sampled_from(["dword", "hex", "octal", "hex parts", "short", "zeros"]))
def test_every_notation_of_an_address_is_known(address: ipaddress.IPv4Address, notation: str) -> None:
    value, parts = int(address), [int(part) for part in str(address).split(".")]
    host = {
        "dword": str(value),
        "hex": f"{value:#x}",
        "octal": ".".join(f"{part:#o}".replace("o", "") for part in parts),
        "hex parts": ".".join(f"{part:#x}" for part in parts),
        "short": f"{parts[0]}.{value & 0xFFFFFF}",
        "zeros": ".".join(f"0x{part:04x}" for part in parts),
    }[notation]
    assert written_address(host) == str(address)
    # It is what the resolver of names makes of it, too.
    assert socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0] == str(address)


@pytest.mark.parametrize("name", ["cafe", "a.example", "dead.beef", "1.2.3.4.5", "x", "0x", "face.b00c", ""])
def test_names_that_look_like_addresses_are_names(name: str) -> None:
    assert written_address(name) is None
