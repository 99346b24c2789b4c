"""What a reader may connect to: decided for each address at the moment that a socket is made for it.

Users name hosts, and hosts may lie: a public name can lead to a private address, and to another one a second later. So
nothing is checked beforehand and resolved again. The connecting code (aiohttp's connector, `FetchGuard.connect` for
IMAP) asks for a socket for one numeric address, and gets none for an address that is not on the public internet,
whichever way it was reached: by name, by number in any notation, by redirect.

A platform may open private networks of its own. Addresses where clouds give out their machines' credentials stay
closed even then. NetworkPolicies say the same again, outside of the process.
"""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
AddressInfo: TypeAlias = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it."""

HTTP_PORTS = frozenset({80, 443})
IMAP_PORTS = frozenset({143, 993})

MAX_ADDRESSES = 8
"""Of one host that are tried one after another."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_CLOSED_4 = _networks(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",
    "100.64.0.0/10",  # carriers' NAT, and Alibaba's metadata
    "127.0.0.0/8",
    "169.254.0.0/16",  # link-local, and most clouds' metadata
    "168.63.129.16/32",  # Azure's platform: global by its number, and not reachable from outside a machine
    "172.16.0.0/12",
    "192.0.0.0/24",  # protocol assignments, and Oracle's metadata
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_OPEN_6 = ip_network("2000::/3")
"""All that is handed out as global unicast; whatever lies outside is something else."""
_CLOSED_6 = _networks(
    "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which leads to any IPv4 address
    "3fff::/20",  # documentation
)
_NEVER_OPENED = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "100.100.100.200/32",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::254/128",  # AWS's metadata
    "fd20:ce::254/128",  # Google's metadata
)
"""Closed also where the platform opens a network around them."""
_IPV4_INSIDE = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))
"""IPv4-mapped, and NAT64's well-known prefix: the last four bytes are what is really reached."""


class AddressRefusedError(OSError):
    """No socket for this address. An OSError, so that every client takes it for a failed connection."""

    def __init__(self) -> None:
        super().__init__("the address is not on the public internet and not opened by the platform")


@dataclass(frozen=True, slots=True)
class AllowedNetwork:
    """A network of the platform that readers may reach although it is not global."""

    network: Network
    ports: frozenset[int] = frozenset()
    """Empty: every port."""

    def covers(self, address: Address, port: int) -> bool:
        return address in self.network and (not self.ports or port in self.ports)


@dataclass(frozen=True, slots=True)
class FetchGuard:
    allowed: tuple[AllowedNetwork, ...] = ()
    ports: frozenset[int] = HTTP_PORTS
    """What may be reached on the public internet."""

    def check(self, host: str, port: int) -> None:
        """Raises AddressRefusedError unless `host` is the number of an address that may be reached on this port."""
        address = _real_address(host)
        if address is None or _is_in(address, _NEVER_OPENED):
            raise AddressRefusedError
        if any(allowed.covers(address, port) for allowed in self.allowed):
            return
        if port not in self.ports or not is_global(address):
            raise AddressRefusedError

    def make_socket(self, info: AddressInfo) -> socket.socket:
        """The socket that is going to be connected to exactly `info`'s address: a `socket_factory` of aiohttp."""
        family, kind, protocol, _, target = info
        if family not in {socket.AF_INET, socket.AF_INET6}:
            raise AddressRefusedError
        self.check(target[0], target[1])
        return socket.socket(family, kind, protocol)

    def connect(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connected socket, for clients that block; `seconds` bound all tries and later each read.

        Raises AddressRefusedError when there is only what is refused, another OSError when nobody answers.
        """
        deadline = time.monotonic() + seconds
        failure: OSError = OSError("the name has no address")
        for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:MAX_ADDRESSES]:
            try:
                return self._connect(info, deadline - time.monotonic(), seconds)
            except OSError as error:
                failure = error
        raise failure

    def _connect(self, info: AddressInfo, left: float, seconds: float) -> socket.socket:
        if left <= 0:
            raise TimeoutError("no time is left for another address")
        sock = self.make_socket(info)
        try:
            sock.settimeout(left)
            sock.connect(info[4])
            sock.settimeout(seconds)
        except OSError:
            sock.close()
            raise
        return sock


def is_global(address: Address) -> bool:
    """Whether an address belongs to the public internet. Stricter than `ipaddress`, whose answer varies by release."""
    if isinstance(address, IPv4Address):
        return not _is_in(address, _CLOSED_4)
    return address in _OPEN_6 and not _is_in(address, _CLOSED_6)


def _real_address(host: str) -> Address | None:
    """The address behind a number, looking through IPv6 forms that carry IPv4. None for all else, zones included."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        return None
    if any(address in prefix for prefix in _IPV4_INSIDE):
        return IPv4Address(address.packed[-4:])
    return address


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
