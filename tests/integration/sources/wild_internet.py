"""An internet of our own, with liars in it: run as root of a new network and mount namespace, prints what happened.

    unshare --user --map-root-user --net --mount python -m tests.integration.sources.wild_internet

Public, private and metadata addresses lie on the loopback interface of the namespace, each with a real server that
counts who comes; the system's own resolver asks a real DNS server, one of whose names answers differently each time.
So the crawl under test is the one that runs in production, from getaddrinfo to the socket.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from aiohttp import web

from dreamhub.errors import DreamHubError
from dreamhub_worker.sources.web import WebSource
from tests.integration.sources.library import Library

PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1::1"
FORBIDDEN = ("127.0.0.1", "10.0.0.5", "169.254.169.254", "192.168.1.1", "100.100.100.200", "::1", "fd00:ec2::254")
NAMES = {
    "site.example": (PUBLIC,),
    "six.example": (PUBLIC_6,),
    "both.example": ("169.254.169.254", PUBLIC, "10.0.0.5"),
    "loopback.example": ("127.0.0.1",),
    "loopback6.example": ("::1",),
    "mapped.example": ("::ffff:127.0.0.1",),
    "metadata.example": ("169.254.169.254",),
    "metadata6.example": ("fd00:ec2::254",),
    "cgnat.example": ("100.100.100.200",),
    "private.example": ("10.0.0.5",),
}
REBINDING = "rebind.example"
"""Public at the first question, loopback at the second, and so on: each connection is another question."""
REDIRECTS = {
    "/to-metadata": "http://169.254.169.254/latest/meta-data/",
    "/to-decimal": "http://2130706433/",
    "/to-name": "http://metadata.example/",
    "/to-port": "http://site.example:6379/",
}


@dataclass
class Report:
    found: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    came: dict[str, int] = field(default_factory=dict)
    """Connections by server's address, while the crawl ran."""
    starts: dict[str, str] = field(default_factory=dict)
    """What a crawl that starts at a liar ends with."""
    unguarded: dict[str, int] = field(default_factory=dict)
    """Connections when an HTTP client without the guard asks the same names: the servers are there."""
    rebound: list[str] = field(default_factory=list)
    """Answers about the rebinding name, in order."""


class Dns:
    def __init__(self) -> None:
        self.rebound: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.53", 53))
        asyncio.get_running_loop().add_reader(self._socket, self._answer)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        data, asker = self._socket.recvfrom(4096)
        end = data.index(b"\0", 12)
        (kind,) = struct.unpack("!H", data[end + 1 : end + 3])
        answers = self._answers(_name(data[12:end]), kind)
        head = data[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(raw)) + raw for raw in answers)
        self._socket.sendto(head + data[12 : end + 5] + records, asker)

    def _answers(self, name: str, kind: int) -> list[bytes]:
        addresses = NAMES.get(name, ())
        if name == REBINDING and kind == 1:
            addresses = ("127.0.0.1" if len(self.rebound) % 2 else PUBLIC,)
            self.rebound += addresses
        wanted = {1: 4, 28: 6}.get(kind)
        return [ip_address(text).packed for text in addresses if ip_address(text).version == wanted]


def _name(question: bytes) -> str:
    labels, position = [], 0
    while position < len(question):
        size = question[position]
        labels.append(question[position + 1 : position + 1 + size].decode())
        position += 1 + size
    return ".".join(labels).lower()


class World:
    def __init__(self) -> None:
        self.came: Counter[str] = Counter()

    def handler(self, address: str) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            self.came[address] += 1
            if target := REDIRECTS.get(request.path):
                return web.Response(status=302, headers={"Location": target, "Connection": "close"})
            if request.path == "/robots.txt":
                return web.Response(status=404, headers={"Connection": "close"})
            names = [name for name in (*NAMES, REBINDING) if name != "site.example"]
            links = [f"http://{name}/" for name in names] + list(REDIRECTS)
            body = "".join(f'<a href="{link}">x</a>' for link in links) if request.host == "site.example" else ""
            text = f"<html><body><p>{address}</p>{body}</body></html>"
            return web.Response(text=text, content_type="text/html", headers={"Connection": "close"})

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        return app


def prepare(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, PUBLIC_6, *FORBIDDEN):
        if not ip_address(address).is_loopback:
            width = 32 if ip_address(address).version == 4 else 128
            subprocess.run(["ip", "address", "add", f"{address}/{width}", "dev", "lo"], check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.53\noptions timeout:2 attempts:2\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)


async def serve(stack: AsyncExitStack, world: World) -> Dns:
    for address in (PUBLIC, PUBLIC_6, *FORBIDDEN):
        runner = web.AppRunner(world.handler(address))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, address, 80).start()
        if address == PUBLIC:
            await web.TCPSite(runner, address, 6379).start()
    dns = Dns()
    stack.callback(dns.close)
    return dns


async def run(folder: Path) -> Report:
    report, world = Report(), World()
    async with AsyncExitStack() as stack:
        dns = await serve(stack, world)
        config = {"urls": ["http://site.example/"], "hosts": [*NAMES, REBINDING, "169.254.169.254", "2130706433"]}
        reading = await Library(WebSource, config, folder).read()
        report.found, report.skipped = sorted(reading.found), reading.skipped
        for start in ("http://127.0.0.1/", "http://[::1]/", "http://0x7f.1/", "http://metadata.example/"):
            try:
                await Library(WebSource, {"urls": [start]}, folder).read()
            except DreamHubError as error:
                report.starts[start] = error.code
        report.came, report.rebound = dict(world.came), dns.rebound
        world.came.clear()
        async with aiohttp.ClientSession() as session:
            for name in NAMES:
                async with session.get(f"http://{name}/"):
                    pass
        report.unguarded = dict(world.came)
    return report


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        json.dump(asdict(asyncio.run(run(Path(name)))), sys.stdout)


if __name__ == "__main__":
    main()
