"""Every route, with every kind of wrong or foreign login: nothing of another tenant is read, told or changed."""

import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from dreamhub.ids import new_id
from tests.integration.api.identity_provider import sign
from tests.integration.api.platform import Caller, Tenant
from tests.integration.conftest import Database
from tests.integration.isolation.plants import TABLES, Planted
from tests.integration.isolation.routes import CASES, Case, Ids, RouteKey, fill, served_routes
from tests.integration.isolation.witness import State, Witness
from tests.integration.sql.support import connected


@dataclass(frozen=True)
class Forge:
    """What logins are forged from."""

    issuer: str
    victim: Planted
    attacker: Planted
    squatter: Tenant
    stray: str

    def signed(self, tenant: str | None, **changes: object) -> str:
        return f"Bearer {sign(self.issuer, tenant, **changes)}"

    def tampered(self) -> str:
        """The attacker's login with the victim's payload."""
        head, _, signature = self.attacker.tenant.token.split(".")
        return f"Bearer {head}.{self.victim.tenant.token.split('.')[1]}.{signature}"


@dataclass(frozen=True)
class Login:
    """A kind of login, and how every route that needs one answers it. Without a code it may come in, as another."""

    header: Callable[[Forge], str | None]
    status: int
    code: str
    claims: bool = False
    """Names the victim itself: hearing the name back tells nothing."""


LOGINS: dict[str, Login] = {
    "no tenant: no login": Login(lambda _: None, 401, "TokenMissing"),
    "no tenant: no claim": Login(lambda forge: forge.signed(None), 401, "TokenTenant"),
    "no tenant: stray account": Login(lambda forge: f"Bearer {forge.stray}", 403, "UnknownTenant"),
    "empty: header": Login(lambda _: "Bearer ", 401, "TokenMalformed"),
    "empty: claim": Login(lambda forge: forge.signed(""), 403, "UnknownTenant"),
    "malformed: token": Login(lambda _: "Bearer not.a.token", 401, "TokenMalformed"),
    "malformed: tampered": Login(Forge.tampered, 401, "TokenRefused"),
    "malformed: case": Login(
        lambda forge: forge.signed(forge.victim.tenant.name.upper()), 403, "UnknownTenant", claims=True
    ),
    "malformed: newline": Login(
        lambda forge: forge.signed(forge.victim.tenant.name + "\n"), 403, "UnknownTenant", claims=True
    ),
    "malformed: path": Login(
        lambda forge: forge.signed(f"x/../{forge.victim.tenant.name}"), 403, "UnknownTenant", claims=True
    ),
    "expired": Login(lambda forge: forge.signed(forge.victim.tenant.name, exp=1_700_000_000), 401, "TokenExpired"),
    "other": Login(lambda forge: f"Bearer {forge.attacker.tenant.token}", 0, ""),
    "other: squatter": Login(lambda forge: f"Bearer {forge.squatter.token}", 0, ""),
}

ROWS = [
    pytest.param((key, case), login, id=f"{key[0]} {key[1]}{f' {case.name}' if case.name else ''}: {login}")
    for key, cases in CASES.items()
    for case in cases
    for login in LOGINS
    if login != ("other" if case.status == 201 else "other: squatter")
]
"""Who makes something of a foreign name is another tenant than who looks: the first may read its own."""


@pytest.fixture(scope="module")
def forge(issuer: str, victim: Planted, attacker: Planted, squatter: Tenant, stray_token: str) -> Forge:
    return Forge(issuer, victim, attacker, squatter, stray_token)


@pytest_asyncio.fixture(scope="module")
async def before(witness: Witness) -> State:
    return await witness.look()


@pytest_asyncio.fixture
async def untouched(witness: Witness, before: State) -> AsyncIterator[None]:
    """After the test the victim has what it had, row by row."""
    yield
    assert await witness.look() == before


def test_every_route_has_its_row() -> None:
    """A new route needs a row in routes.py that says what a stranger gets from it."""
    assert served_routes() == set(CASES)


async def test_every_table_has_its_row(database: Database, before: State) -> None:
    """A new table needs a name in plants.py and a row by `plant`, so that all tests here look at it."""
    async with connected(database.server.superuser_url) as conn:
        assert sorted(await conn.fetchval("SELECT dreamhub.tenant_tables()")) == sorted(TABLES)
    assert [table for table in TABLES if before[table].startswith("0 ")] == []
    assert {re.split("[ /{]", name)[0] for name in before} >= {"tenants", "dh:", "job"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("row", "login"), ROWS)
async def test_strangers_get_nothing(
    http: aiohttp.ClientSession, platform: str, forge: Forge, row: tuple[RouteKey, Case], login: str
) -> None:
    (key, case), victim, kind = row, forge.victim, LOGINS[login]
    door = Door(http, platform, key, case, kind.header(forge))
    foreign = await door.ask(Ids(victim.document, victim.job, victim.marker, victim.content))
    sent = (*foreign.ids.sent(), *([victim.tenant.name] if kind.claims else []))
    assert [marker for marker in victim.markers if marker in foreign.text and marker not in sent] == []
    if case.public:
        assert (foreign.status, victim.marker in foreign.text) == (case.status, False)
    elif not kind.code:
        assert foreign.status == case.status, foreign.text
        assert foreign.comparable() == (await door.ask(absent_ids(victim))).comparable()
    else:
        assert (foreign.status, foreign.code) == (kind.status, kind.code)


def absent_ids(victim: Planted) -> Ids:
    """Of nobody, and just as long."""
    marker = f"zq{secrets.token_hex(6)}"
    content = victim.content.replace(victim.marker.encode(), marker.encode())
    return Ids(new_id("doc"), f"{marker}-job", marker, content)


_VOLATILE = (
    (r'"(requestId|uid)":"[^"]*"', r'"\1":""'),
    (r'"tookMs":[\d.e-]+', '"tookMs":0'),
    (r"\b(doc|ver)_[0-9a-f]{32}", r"\1_"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME"),
    (r'"ticket":"[^"]*"', '"ticket":""'),
)
"""What differs between any two answers, whoever asks."""


@dataclass(frozen=True)
class Answer:
    ids: Ids
    status: int
    headers: dict[str, str]
    body: str

    @property
    def text(self) -> str:
        return f"{self.headers} {self.body}"

    @property
    def code(self) -> str:
        found = re.search(r'"code":"(\w+)"', self.body)
        return found[1] if found else ""

    def comparable(self) -> tuple[int, dict[str, str], str]:
        """Byte for byte, but for what any two answers differ in. What was sent may come back: it tells nothing."""
        body = self.body
        for sent in self.ids.sent():
            body = body.replace(sent, "SENT")
        for pattern, instead in _VOLATILE:
            body = re.sub(pattern, instead, body)
        volatile = {"Date", "X-Request-ID"} | ({"Content-Length"} if self.status < 300 else set())
        return self.status, {name: value for name, value in self.headers.items() if name not in volatile}, body


@dataclass(frozen=True)
class Door:
    """One route, called as one login."""

    http: aiohttp.ClientSession
    url: str
    key: RouteKey
    case: Case
    login: str | None

    async def ask(self, ids: Ids) -> Answer:
        method, path = self.key
        options = self.case.options(ids)
        headers = {**options.pop("headers", {}), **({} if self.login is None else {"Authorization": self.login})}
        url = self.url + fill(path, ids)
        async with self.http.request(method, url, headers=headers, allow_redirects=False, **options) as response:
            body = (await response.read()).decode()
            return Answer(ids, response.status, dict(response.headers), body)


async def test_owner_gets_what_strangers_do_not(http: aiohttp.ClientSession, platform: str, victim: Planted) -> None:
    """The same requests by the victim succeed and are full of its marker: the tests above look at something real."""
    owner = Caller(http, platform, victim.tenant.token)
    for path in ("", "/content", "/chunks", "/versions"):
        status, _, _ = await owner.full("GET", f"/documents/{victim.document}{path}")
        assert status == 200
    found = await owner.ok("POST", "/search", json={"query": victim.marker})
    assert victim.marker in found["hits"][0]["text"]
    assert (await owner.ok("GET", f"/ingest-jobs/{victim.job}"))["errors"][0]["message"] == victim.marker
    told = (await owner.ok("GET", f"/ingest-jobs/{victim.job}/documents"))["items"]
    assert victim.marker in told[0]["error"]["message"]
