"""A real Dovecot with one mailbox a user, and what a mail program does to it."""

import imaplib
import os
import pwd
import re
import shutil
import signal
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from tests.integration.servers import pick_port, run_server
from tests.integration.sources.certificates import Certificate

PASSWORD = "sesame-äöü"

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap
mail_location = maildir:{folder}/mail/%u
ssl = required
ssl_cert = <{certificate.certificate}
ssl_key = <{certificate.key}
auth_mechanisms = plain login xoauth2
default_internal_user = {system}
default_internal_group = {group}
default_login_user = {login}
auth_failure_delay = 0
first_valid_uid = 1
mail_max_userip_connections = 100
imap_capability = +XOAUTH2
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner_group} home={folder}/mail/%u
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {plain}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True)
class Dovecot:
    folder: Path
    certificate: Certificate
    tls: int
    plain: int

    def secret(self, user: str, **other: str) -> dict[str, str]:
        return {"username": user, "password": PASSWORD, "ca.crt": self.certificate.authority, **other}

    @contextmanager
    def mail_program(self, user: str, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """Logged in, the folder selected for writing and made if need be."""
        context = ssl.create_default_context(cadata=self.certificate.authority)
        with imaplib.IMAP4_SSL("localhost", self.tls, ssl_context=context, timeout=30) as client:
            client.authenticate("PLAIN", lambda _: f"\0{user}\0{PASSWORD}".encode())
            client.create(f'"{folder}"')
            client.select(f'"{folder}"')
            yield client

    def deliver(self, user: str, messages: Sequence[bytes], folder: str = "INBOX") -> None:
        with self.mail_program(user, folder) as client:
            for message in messages:
                status, said = client.append(f'"{folder}"', "", imaplib.Time2Internaldate(1_700_000_000), message)
                assert status == "OK", said

    def delete(self, user: str, *numbers: int, folder: str = "INBOX", expunge: bool = True) -> None:
        """By their order in the folder, from 1."""
        with self.mail_program(user, folder) as client:
            client.store(",".join(map(str, numbers)), "+FLAGS", r"(\Deleted)")
            if expunge:
                client.expunge()

    def renumber(self, user: str) -> None:
        """As after a restore from a backup: another UIDVALIDITY."""
        folder = self.folder / "mail" / user
        numbers = folder / "dovecot-uidlist"
        numbers.write_text(re.sub(r" V\d+ ", " V4711 ", numbers.read_text(), count=1))
        for index in folder.glob("dovecot.index*"):
            index.unlink()


def message(subject: str, body: str = "Hello.", message_id: str | None = None) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ada@example.com", "bob@example.com", subject
    if message_id is not None:
        mail["Message-ID"] = message_id
    mail.set_content(body)
    return re.sub(rb"\r?\n", b"\r\n", mail.as_bytes())


@contextmanager
def run_dovecot(folder: Path, certificate: Certificate, introspection: str) -> Iterator[Dovecot]:
    """`introspection`: URL that says whether a token is good."""
    mail = folder / "mail"
    mail.mkdir()
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    if os.geteuid() == 0:
        shutil.chown(mail, owner.pw_uid, owner.pw_gid)
    server = Dovecot(folder, certificate, pick_port(), pick_port())
    system, login = ("dovecot", "dovenull") if os.geteuid() == 0 else (owner.pw_name, owner.pw_name)
    (folder / "oauth2.conf").write_text(
        f"introspection_url = {introspection}\nintrospection_mode = get\n"
        "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
    )
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            certificate=certificate,
            system=system,
            group=system if os.geteuid() == 0 else str(owner.pw_gid),
            login=login,
            password=PASSWORD,
            owner=owner.pw_uid,
            owner_group=owner.pw_gid,
            plain=server.plain,
            tls=server.tls,
        )
    )
    program = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin") or "dovecot"
    with run_server([program, "-F", "-c", str(config)], folder / "dovecot.log", server.tls, signal.SIGTERM):
        yield server
