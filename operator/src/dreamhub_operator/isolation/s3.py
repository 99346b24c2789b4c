"""The object store asked for another's originals by all that a tenant ever holds: guessed keys and signed URLs."""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from dreamhub.errors import DreamHubError
from dreamhub.names import object_key
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome, Probe, undecided
from dreamhub_operator.isolation.side import Side

TIMEOUT = aiohttp.ClientTimeout(total=10)
URL_SECONDS = 60
ABSENT = "ver_isolation-probe"
"""A version that nobody has."""


class Signer(Protocol):
    """What makes URLs for workers; a tenant has nothing but these."""

    async def presign_get(self, tenant: str, version_id: str, seconds: int) -> str: ...

    async def presign_put(self, tenant: str, version_id: str, seconds: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt. Only a refusal (401, 403, or a 400 for a URL that makes no sense) counts as one."""

    name: str
    method: str
    url: str


async def probe_s3(signer: Signer, session: aiohttp.ClientSession, attacker: Side, victim: Side) -> list[Probe]:
    """Every attempt of the one on the other. An absent server leaves what was learned, and that it is not all."""
    probes: list[Probe] = []
    try:
        foreign = victim.version or ABSENT
        own = await signer.presign_get(attacker.tenant, attacker.version or ABSENT, URL_SECONDS)
        put = await signer.presign_put(attacker.tenant, ABSENT, URL_SECONDS)
        control = await _control(session, own, expected=attacker.version is not None)
        if control is not None:
            return undecided("s3", f"{attacker.tenant}: an object of its own", control)
        for request in build_requests(own, put, object_key(victim.tenant, foreign), expendable=victim.expendable):
            outcome = judge(await _send(session, request))
            probes.append(Probe("s3", f"{attacker.tenant}: {request.name}", outcome))
    except (DreamHubError, aiohttp.ClientError, TimeoutError) as error:
        probes += undecided("s3", f"requests of {attacker.tenant}", f"the store failed ({type(error).__name__})")
    return probes


async def _control(session: aiohttp.ClientSession, url: str, *, expected: bool) -> str | None:
    """What is wrong with a URL of one's own, None when it works (or leads, as it should, to nothing)."""
    status = await _send(session, Request("own", "GET", url))
    good = 200 if expected else 404
    return None if status == good else f"a signed URL of its own is answered with {status} instead of {good}"


def build_requests(get_url: str, put_url: str, foreign_key: str, *, expendable: bool) -> list[Request]:
    """All attempts on `foreign_key` by URLs that were signed for keys of one's own."""
    climbing = f"{_directory(get_url)}/../../../{foreign_key}"
    requests = [
        Request("GET by guessed key, unsigned", "GET", _unsigned(_swap(get_url, foreign_key))),
        Request("HEAD by guessed key, unsigned", "HEAD", _unsigned(_swap(get_url, foreign_key))),
        Request("GET of an absent key, unsigned", "GET", _unsigned(_swap(get_url, foreign_key + "-absent"))),
        Request("listing, unsigned", "GET", _unsigned(_bucket(get_url)) + "?list-type=2"),
        Request("listing by a signed URL", "GET", _bucket(get_url, "list-type=2")),
        Request("GET by a signed URL with another's key", "GET", _swap(get_url, foreign_key)),
        Request("HEAD by a signed URL with another's key", "HEAD", _swap(get_url, foreign_key)),
        Request("GET by a signed URL that climbs to another's key", "GET", _with_path(get_url, climbing)),
        Request("GET by a signed URL with an encoded path", "GET", _with_path(get_url, quote(climbing, safe="/"))),
        Request("GET by a URL that was given a longer life", "GET", _prolonged(get_url)),
        Request("PUT of a new key by a signed URL for reading", "PUT", _swap(get_url, f"{foreign_key}-taken")),
        Request("PUT by a URL for another new key", "PUT", _swap(put_url, f"{foreign_key}-taken")),
        Request("GET by a signed URL for writing", "GET", _swap(put_url, foreign_key)),
    ]
    if expendable:
        requests += [
            Request("PUT over another's key, unsigned", "PUT", _unsigned(_swap(get_url, foreign_key))),
            Request("DELETE by guessed key, unsigned", "DELETE", _unsigned(_swap(get_url, foreign_key))),
            Request("DELETE by a signed URL with another's key", "DELETE", _swap(get_url, foreign_key)),
        ]
    return requests


def judge(status: int) -> Outcome:
    if status in {400, 401, 403}:
        return Blocked()
    if status >= 500 or status == 429:
        return Inconclusive(f"the store answered with {status}")
    return Leaked(f"the store answered with {status} instead of refusing")


async def _send(session: aiohttp.ClientSession, request: Request) -> int:
    data = b"probe" if request.method == "PUT" else None
    url = URL(request.url, encoded=True)
    async with session.request(
        request.method, url, data=data, timeout=TIMEOUT, allow_redirects=False, headers={"Connection": "close"}
    ) as response:
        return response.status


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=path))


def _directory(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[0]


def _bucket_path(url: str) -> str:
    """The path above every key: keys begin with `tenants/`."""
    return urlsplit(url).path.partition("/tenants/")[0]


def _swap(url: str, key: str) -> str:
    return _with_path(url, f"{_bucket_path(url)}/{key}")


def _unsigned(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query=""))


def _bucket(url: str, extra: str = "") -> str:
    """The signed URL pointed at the bucket, with more to its query."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (extra, parts.query)))
    return urlunsplit(parts._replace(path=f"{_bucket_path(url)}/", query=query))


def _prolonged(url: str) -> str:
    parts = urlsplit(url)
    query = [(name, "86400" if name == "X-Amz-Expires" else value) for name, value in parse_qsl(parts.query)]
    return urlunsplit(parts._replace(query=urlencode(query)))
