"""What readers make of the Secret that `secretRef` names: username and password, or token, and perhaps ca.crt."""

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path

from dreamhub.errors import InvalidInputError

CA_ENTRY = "ca.crt"


def read_secret(folder: Path) -> dict[str, str]:
    """The entries of a mounted Secret. Raises InvalidInputError for one that is no text, and for one that is none."""
    try:
        entries = {
            path.name: path.read_text(encoding="utf-8").strip()
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        }
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"the source's Secret cannot be read ({type(error).__name__}); its entries must be text",
            code="SecretMissing",
        ) from error
    if not entries:
        raise InvalidInputError(
            "the Secret that the source names does not exist in the tenant's namespace, or is empty; let a platform "
            "administrator create it, and order the job again",
            code="SecretMissing",
        )
    return entries


def build_authorization(secret: Mapping[str, str]) -> str | None:
    """The Authorization header; None without credentials. Raises InvalidInputError `BadSecret` for half of them."""
    if token := secret.get("token", "").strip():
        return f"Bearer {_one_line(token)}"
    if not {"username", "password"} & set(secret):
        return None
    pair = f"{require_entry(secret, 'username')}:{require_entry(secret, 'password')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def require_entry(secret: Mapping[str, str], name: str) -> str:
    """An entry without the line break at its end that editors add. Raises InvalidInputError `BadSecret`."""
    value = secret.get(name, "").rstrip("\r\n")
    if not value:
        raise InvalidInputError(f"the Secret of the source has no entry {name}; add it", code="BadSecret")
    return _one_line(value)


def build_tls(secret: Mapping[str, str]) -> ssl.SSLContext:
    """Certificates are always checked: against the usual authorities, and against those in ca.crt."""
    context = ssl.create_default_context()
    if authority := secret.get(CA_ENTRY):
        try:
            context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidInputError(
                f"the entry {CA_ENTRY} of the source's Secret is no certificate in PEM form; correct it",
                code="BadSecret",
            ) from error
    return context


def _one_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise InvalidInputError(
            "an entry of the source's Secret has a line break or another control character in it; correct it",
            code="BadSecret",
        )
    return value
