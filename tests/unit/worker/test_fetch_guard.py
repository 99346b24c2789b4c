"""No socket for anything that is not on the public internet, in whatever way it is written or reached."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from dreamhub_worker.fetch_guard import AddressRefusedError, AllowedNetwork, FetchGuard, is_global

ANY = str(IPv4Address(0))
GLOBAL = (
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "168.63.129.15",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2003::1",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",  # 1.1.1.1 behind NAT64
)
REFUSED = (
    ANY,
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "224.0.1.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::a00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.1.2.3",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:7fff:80ff:fffe",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::1%25eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2606:4700:4700::1111%lo",
    # no numbers of addresses: they would be looked up again
    "",
    "<broadcast>",
    "localhost",
    "example.com",
    "127.1",
    "0x7f000001",
    "0177.0.0.1",
    "2130706433",
    "127.0.0.1 ",
    "1.1.1.1%lo",
)


@pytest.mark.parametrize("host", GLOBAL)
def test_what_is_on_the_internet_may_be_reached(host: str) -> None:
    FetchGuard().check(host, 443)


@pytest.mark.parametrize("host", REFUSED)
def test_all_else_is_refused(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        FetchGuard().check(host, 443)


@pytest.mark.parametrize("port", [0, 22, 25, 81, 6379, 8080, 65535])
def test_other_ports_are_closed_on_the_internet(port: int) -> None:
    with pytest.raises(AddressRefusedError):
        FetchGuard().check("1.1.1.1", port)


@given(st.ip_addresses())
def test_never_more_open_than_the_standard_library(address: object) -> None:
    found = ip_address(str(address))
    assert not is_global(found) or (found.is_global and not found.is_multicast and not found.is_reserved)


@pytest.mark.parametrize(
    ("host", "port", "outcome"),
    [
        ("10.1.2.3", 8443, "opened"),
        ("::ffff:10.1.2.3", 8443, "opened"),
        ("64:ff9b::a01:203", 8443, "opened"),
        ("10.1.2.3", 443, "refused"),
        ("10.2.0.1", 8443, "refused"),
        ("fd12::1", 6379, "opened"),
        ("fd13::1", 80, "refused"),
        ("fd00:ec2::254", 80, "refused"),
        ("1.1.1.1", 443, "opened"),
        ("1.1.1.1", 8443, "refused"),
    ],
)
def test_the_platform_opens_networks_of_its_own(host: str, port: int, outcome: str) -> None:
    guard = FetchGuard(
        (
            AllowedNetwork(ip_network("10.1.0.0/16"), frozenset({8443})),
            AllowedNetwork(ip_network("fd12::/16")),
        )
    )
    if outcome == "opened":
        guard.check(host, port)
    else:
        with pytest.raises(AddressRefusedError):
            guard.check(host, port)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        ANY,
        "168.63.129.16",
        "224.0.0.1",
        "100.100.100.200",
    ],
)
def test_no_setting_opens_what_gives_out_credentials(host: str) -> None:
    guard = FetchGuard((AllowedNetwork(ip_network("0.0.0.0/0")), AllowedNetwork(ip_network("::/0"))))
    with pytest.raises(AddressRefusedError):
        guard.check(host, 80)


def test_other_families_get_no_socket() -> None:
    with pytest.raises(AddressRefusedError):
        FetchGuard().make_socket((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/docker.sock", 80)))


@dataclass
class Listener:
    """A server on the loopback interface that counts who came."""

    port: int = 0
    came: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(str(writer.get_extra_info("peername")))
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.answer, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


async def get(guard: FetchGuard, url: str) -> int:
    connector = aiohttp.TCPConnector(socket_factory=guard.make_socket)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
        return response.status


URL_TRICKS = (
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::]:{port}/",
    "http://[::1]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.com/",
    "http://127.0.0.1:{port}?@example.com/",
    "http:\\\\127.0.0.1:{port}/",
    "http://example.com\\@127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
)


@pytest.mark.parametrize("trick", URL_TRICKS)
async def test_no_way_of_writing_an_address_reaches_it(trick: str, listener: Listener) -> None:
    guard = FetchGuard(ports=frozenset({listener.port}))
    with pytest.raises((aiohttp.ClientError, ValueError)):
        await get(guard, trick.format(port=listener.port))
    assert listener.came == []


async def test_the_server_would_have_answered(listener: Listener) -> None:
    guard = FetchGuard((AllowedNetwork(ip_network("127.0.0.0/8")),))
    assert await get(guard, f"http://127.0.0.1:{listener.port}/") == 200
    assert await get(guard, f"http://localhost:{listener.port}/") == 200
    assert len(listener.came) == 2


async def test_blocking_clients_get_no_socket_either(listener: Listener) -> None:
    closed, opened = FetchGuard(), FetchGuard((AllowedNetwork(ip_network("127.0.0.0/8")),))
    for host in ("127.0.0.1", "localhost", "127.1"):
        with pytest.raises(AddressRefusedError):
            await asyncio.to_thread(closed.connect, host, listener.port, 5.0)
    assert listener.came == []
    sock = await asyncio.to_thread(opened.connect, "localhost", listener.port, 5.0)
    sock.close()


async def test_the_proxy_of_the_environment_is_not_asked(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    with pytest.raises(aiohttp.ClientError):
        await get(FetchGuard((AllowedNetwork(ip_network("127.0.0.0/8")),)), "http://192.0.2.1/")
    assert listener.came == []
