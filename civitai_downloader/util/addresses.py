"""Addresses: how private they are, and how far into private networks connections may lead."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum

_NUMBER = r"(?:0x[0-9a-f]*|[0-9]+)"
_NUMBERS = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{0,3}}")
_PUBLIC_NAME = re.compile(r"(?!.*\.(?:local|localhost|internal|home\.arpa)$).+\.[^\W\d][\w-]*")
_GLOBAL_UNICAST, _NAT64 = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("64:ff9b::/96")
_MADE_UP = (ipaddress.ip_network("198.18.0.0/15"), ipaddress.ip_network("fc00::/7"))


class Depth(IntEnum):
    """How private an address is; VPN programs make up an address for every name."""

    PUBLIC = 0
    MADE_UP = 1
    PRIVATE = 2


def depth_of(address: str) -> Depth:
    """Return how private an address is, also one that is wrapped in an IPv6 address. Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if any(found in network for network in _MADE_UP):
        return Depth.MADE_UP
    if isinstance(found, ipaddress.IPv6Address):
        inner = _wrapped(found)
        if inner is not None:
            return Depth.PRIVATE if depth_of(str(inner)) else Depth.PUBLIC
        return Depth.PUBLIC if found in _GLOBAL_UNICAST and found.is_global else Depth.PRIVATE
    return Depth.PUBLIC if found.is_global and not found.is_multicast else Depth.PRIVATE


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address to which this one leads: mapped, compatible, 6to4 or NAT64."""
    if address in _NAT64 or not int(address) >> 32:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def depth_of_name(host: str) -> Depth:
    """Return how private a host is by its spelling alone: a number in any notation, or a name of the inner network."""
    plain = host.strip("[]").rstrip(".").lower()
    with suppress(ValueError):
        return depth_of(plain)
    with suppress(OSError, ValueError):
        if _NUMBERS.fullmatch(plain):
            return depth_of(socket.inet_ntoa(socket.inet_aton(plain)))
    return Depth.PUBLIC if _PUBLIC_NAME.fullmatch(plain) else Depth.PRIVATE


class Reach:
    """How deep connections may lead: as deep as the site itself lies, if the user named it.

    The first connection to one of the `homes` decides that for good; before there is one, they are looked up.
    """

    def __init__(self, homes: Iterable[str] = (), *, named: bool = True) -> None:
        """Without `homes` connections may lead everywhere; `named` says that the user chose them."""
        self._homes = frozenset(homes)
        self._most = Depth.PRIVATE if named else Depth.MADE_UP
        inside = not self._homes or any(map(depth_of_name, self._homes))
        self._depth = Depth.PRIVATE if inside else None

    def allows(self, host: str, address: str) -> bool:
        """Return whether a connection to this host may be made to this address."""
        depth = depth_of(address)
        if host in self._homes and self._depth is None:
            return depth <= self._most
        return depth <= Depth.PUBLIC or depth <= self._known()

    def allows_name(self, host: str) -> bool:
        """Return whether a host may be asked for by its spelling, such as through a proxy, which looks it up."""
        return host in self._homes or depth_of_name(host) <= Depth.PUBLIC or depth_of_name(host) <= self._known()

    def note(self, host: str, address: str) -> None:
        """Take note of a connection that was made."""
        if self._depth is None and host in self._homes:
            self._depth = depth_of(address)

    def _known(self) -> Depth:
        """Return how deep the site lies: all of its addresses count, and what is not known is public."""
        if self._depth is not None:
            return self._depth
        found = set[Depth]()
        for home in self._homes:
            with suppress(OSError, UnicodeError, ValueError):
                found |= {depth_of(str(each[4][0])) for each in socket.getaddrinfo(home, None)}
        return min(self._most, *found) if found else Depth.PUBLIC
