"""The API asked, with one tenant's token, for what is another's: each route that takes an id."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

from dreamhub import ids
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome, Probe, same_answer, undecided
from dreamhub_operator.isolation.side import Side

TIMEOUT = aiohttp.ClientTimeout(total=15)
PREFIX = "/api/v1"
_PASSING = ("requestId", "instance", "tookMs")
"""What differs from call to call by nature."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route with `{id}` in its path or its body."""

    method: str
    path: str
    kind: str
    """What the id names: document or job."""
    body: str = ""
    destroys: bool = False
    """Tried only on what nobody misses."""


ROUTES = (
    Route("GET", "/documents/{id}", "document"),
    Route("GET", "/documents/{id}/content", "document"),
    Route("GET", "/documents/{id}/chunks", "document"),
    Route("GET", "/documents/{id}/versions", "document"),
    Route("DELETE", "/documents/{id}", "document", destroys=True),
    Route("GET", "/ingest-jobs/{id}", "job"),
    Route("GET", "/ingest-jobs/{id}/documents", "job"),
    Route("GET", "/tasks/{id}", "job"),
    Route("DELETE", "/ingest-jobs/{id}", "job", destroys=True),
    Route("POST", "/ingest-jobs/{id}/approve", "job", destroys=True),
    Route("POST", "/ingest-jobs/{id}/cancel", "job", destroys=True),
    Route("POST", "/ingest-jobs/{id}/retry", "job", destroys=True),
    Route("POST", "/ingest-jobs", "document", '{"source": {"documents": {"ids": ["{id}"]}}}', destroys=True),
    Route("POST", "/search", "document", '{"query": "isolation", "filters": {"documents": ["{id}"]}}'),
)
"""`/answers` takes the same filter as `/search` and would ask a model that somebody pays for."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any

    def told(self, given: str) -> object:
        """What the caller learns, without the id that it gave itself."""
        told = self.body
        if isinstance(told, dict):
            told = {key: value for key, value in told.items() if key not in _PASSING}
        return self.status, json.dumps(told, sort_keys=True, default=str).replace(given, "<id>")


async def probe_api(url: str, session: aiohttp.ClientSession, attacker: Side, victim: Side) -> list[Probe]:
    """Every attempt of the one on the other. An absent server leaves what was learned, and that it is not all."""
    probes: list[Probe] = []
    try:
        await _Attack(url, session, attacker, victim, probes).run()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        probes += undecided("api", f"token of {attacker.tenant}", f"the API failed ({type(error).__name__})")
    return probes


def choose_routes(victim: Side) -> Iterable[tuple[Route, str]]:
    """Each route with an id of the victim's. What it has none of is not asked for: that would prove nothing."""
    for route in ROUTES:
        known = victim.document if route.kind == "document" else next(iter(victim.jobs), None)
        if known is not None and (victim.expendable or not route.destroys):
            yield route, known


@dataclass(frozen=True)
class _Attack:
    url: str
    session: aiohttp.ClientSession
    attacker: Side
    victim: Side
    probes: list[Probe]

    async def run(self) -> None:
        fault = await self._control()
        if fault is not None:
            self._add("a call of its own", Inconclusive(fault))
            return
        for route, known in choose_routes(self.victim):
            absent = ids.new_id("doc") if route.kind == "document" else f"absent-{secrets.token_hex(8)}"
            foreign = await self._ask(route, known, self.attacker.token)
            nothing = await self._ask(route, absent, self.attacker.token)
            self._add(f"{route.method} {route.path} of another", _compare(foreign, known, nothing, absent))
            unknown = await self._ask(route, known, "")
            self._add(f"{route.method} {route.path} without a token", _expect(unknown, 401))
        listed = await self._call("GET", "/documents?limit=100", self.attacker.token)
        self._add("GET /documents", _expect_without(listed, self.victim))
        await self._listen()

    async def _control(self) -> str | None:
        """What keeps refusals from meaning anything; None when both tokens open what is their own."""
        for side in (self.attacker, self.victim):
            own = await self._call("GET", "/tenants/self", side.token)
            if own.status != 200 or own.body.get("name") != side.tenant:
                return f"the token of {side.tenant} is answered with {own.status}"
        if self.victim.document is not None:
            seen = await self._call("GET", f"/documents/{self.victim.document}", self.victim.token)
            if seen.status != 200:
                return f"{self.victim.tenant} itself gets {seen.status} for its document"
        return None

    def _add(self, name: str, outcome: Outcome) -> None:
        self.probes.append(Probe("api", f"{self.attacker.tenant}: {name}", outcome))

    async def _ask(self, route: Route, identity: str, token: str) -> Answer:
        body = route.body.replace("{id}", identity)
        return await self._call(route.method, route.path.replace("{id}", identity), token, body)

    async def _call(self, method: str, path: str, token: str, body: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Content-Type": "application/json"} if body else {}
        async with self.session.request(
            method, self.url + PREFIX + path, headers=headers, data=body or None, timeout=TIMEOUT
        ) as response:
            text = await response.text(errors="replace")
            parsed = json.loads(text) if "json" in response.content_type else text[:200]
            return Answer(response.status, parsed)

    async def _listen(self) -> None:
        """A WebSocket of one's own that asks for another's channel."""
        job = next(iter(self.victim.jobs), "isolation-probe")
        channels = (f"job:{self.victim.tenant}/{job}", f"job:{self.victim.tenant}-absent/{job}")
        headers = {"Authorization": f"Bearer {self.attacker.token}"}
        async with self.session.ws_connect(f"{self.url}/ws", headers=headers, timeout=_WS_TIMEOUT) as socket:
            told = [await _subscribe(socket, channel) for channel in channels]
        self._add("WebSocket channel of another", told[0] if isinstance(told[0], Leaked) else same_answer(*told))


_WS_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=5)


async def _subscribe(socket: aiohttp.ClientWebSocketResponse, channel: str) -> object:
    """The error that answers, or Leaked."""
    await socket.send_json({"op": "subscribe", "channel": channel})
    reply = await socket.receive_json(timeout=TIMEOUT.total)
    if reply.get("type") != "error":
        return Leaked(f"it is answered with {reply.get('type')}")
    return reply.get("code"), reply.get("message")


def _compare(foreign: Answer, known: str, nothing: Answer, absent: str) -> Outcome:
    for answer in (foreign, nothing):
        if answer.status >= 500 or answer.status == 401:
            return Inconclusive(f"the API answered with {answer.status}")
    return same_answer(foreign.told(known), nothing.told(absent))


def _expect(answer: Answer, status: int) -> Outcome:
    if answer.status == status:
        return Blocked()
    if answer.status >= 500:
        return Inconclusive(f"the API answered with {answer.status}")
    return Leaked(f"the API answered with {answer.status} instead of {status}")


def _expect_without(listed: Answer, victim: Side) -> Outcome:
    if listed.status != 200:
        return Inconclusive(f"the API answered with {listed.status}")
    found = {item["id"] for item in listed.body["items"]}
    return Leaked("the list holds another's document") if victim.document in found else Blocked()
