"""Entry point of the embedded Redis image.

Redis reads its users from a file on its volume. The operator adds a user for each tenant and saves; the platform's own
users are written here at every start, from the mounted Secret, so that a changed password takes effect with a restart
while the tenants' users stay.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

SERVER = "/usr/bin/redis-server"
CONFIGURATION = "/etc/dreamhub/redis.conf"
USERS_FILE = Path("/data/users.acl")

PROBE_USER = "user default on nopass resetkeys resetchannels -@all +ping"
"""The kubelet's probe logs in as nobody: it may ask whether the server answers, and nothing else."""

_OWN_KEYS = "~dh:* &dh:*"
RULES: Mapping[str, str] = {
    "api": f"{_OWN_KEYS} +@all -@dangerous -@scripting +fcall +fcall_ro",
    "operator": f"{_OWN_KEYS} +@all -@dangerous +acl|setuser +acl|getuser +acl|deluser +acl|list +acl|save "
    "+acl|whoami +info",
}
"""What `dreamhub_<login>` may do; the Secret holds `<login>-password` for each."""


class StartError(Exception):
    """The image was started without something it needs; the text says what to mount."""


def read_passwords(folder: Path) -> dict[str, str]:
    passwords: dict[str, str] = {}
    for login in RULES:
        file = folder / f"{login}-password"
        if not file.is_file() or not (password := file.read_text().strip()):
            raise StartError(f"no password in {file}: mount a Secret with a key `<login>-password` for {list(RULES)}")
        passwords[login] = password
    return passwords


def merge_users(current: Iterable[str], passwords: Mapping[str, str]) -> list[str]:
    """The lines of the users file: the platform's users as they must be now, then the tenants' as they were."""
    own = {"default", *(f"dreamhub_{login}" for login in passwords)}
    lines = [PROBE_USER]
    for login, password in passwords.items():
        digest = hashlib.sha256(password.encode()).hexdigest()
        lines.append(f"user dreamhub_{login} on #{digest} resetchannels {RULES[login]}")
    kept = [line.strip() for line in current if line.strip()]
    return [*lines, *(line for line in kept if line.split()[1] not in own)]


def write_users(file: Path, passwords: Mapping[str, str]) -> None:
    """Replace the users file in one step: a kill leaves the old one or the new one."""
    current = file.read_text().splitlines() if file.exists() else []
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text("\n".join([*merge_users(current, passwords), ""]))
    unfinished.replace(file)


def main() -> NoReturn:
    folder = Path(os.environ.get("DREAMHUB_PASSWORDS_DIR", "/var/run/dreamhub/passwords"))
    try:
        write_users(USERS_FILE, read_passwords(folder))
    except StartError as error:
        sys.exit(f"redis: {error}")
    os.execv(SERVER, [SERVER, CONFIGURATION, *sys.argv[1:]])


if __name__ == "__main__":
    main()
