"""A real Radicale behind TLS, and what a calendar program does to it."""

import base64
import http.client
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.servers import pick_port, run_server
from tests.integration.sources.certificates import Certificate

PASSWORD = "sesame-äöü"

_CONFIG = """
[server]
hosts = 127.0.0.1:{port}
ssl = True
certificate = {certificate.certificate}
key = {certificate.key}
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {folder}/collections
[web]
type = none
"""


@dataclass(frozen=True, slots=True)
class Radicale:
    port: int
    certificate: Certificate

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    def secret(self, user: str) -> dict[str, str]:
        return {"username": user, "password": PASSWORD, "ca.crt": self.certificate.authority}

    def ask(self, user: str, method: str, path: str, body: bytes = b"") -> int:
        context = ssl.create_default_context(cadata=self.certificate.authority)
        login = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "text/calendar; charset=utf-8"}
        with closing(http.client.HTTPSConnection("localhost", self.port, context=context, timeout=30)) as connection:
            connection.request(method, path, body, headers)
            return connection.getresponse().status

    def make_calendar(self, user: str, name: str) -> str:
        path = f"/{user}/{name}/"
        body = (
            '<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>'
            f"<D:displayname>{name}</D:displayname></D:prop></D:set></C:mkcalendar>"
        )
        assert self.ask(user, "MKCALENDAR", path, body.encode()) == 201
        return path

    def put(self, user: str, path: str, data: bytes) -> None:
        assert self.ask(user, "PUT", path, data) in {201, 204}

    def delete(self, user: str, path: str) -> None:
        assert self.ask(user, "DELETE", path) == 200


def event(uid: str, summary: str, stamp: str = "20260101T000000Z") -> bytes:
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//test//EN",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{stamp}",
        "DTSTART:20260701T100000Z",
        "DTEND:20260701T110000Z",
        f"SUMMARY:{summary}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return "\r\n".join(lines).encode()


@contextmanager
def run_radicale(folder: Path, certificate: Certificate, users: tuple[str, ...]) -> Iterator[Radicale]:
    server = Radicale(pick_port(), certificate)
    (folder / "users").write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
    config = folder / "radicale.conf"
    config.write_text(_CONFIG.format(port=server.port, certificate=certificate, folder=folder))
    command = [sys.executable, "-m", "radicale", "--config", str(config)]
    with run_server(command, folder / "radicale.log", server.port, signal.SIGTERM):
        yield server
