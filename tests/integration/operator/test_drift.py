"""Whatever of a tenant somebody changes or takes away by hand is put back, counted, and told by an Event."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from typing_extensions import override

from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    Stores,
    condition,
    eventually,
    ready_tenant,
)

TENANT = "adrift"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/dh-{TENANT}/rolebindings"
CORE = f"/api/v1/namespaces/dh-{TENANT}"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/dh-{TENANT}/networkpolicies"
OTHERS = {"labels": {"team": "red"}, "annotations": {"of-others": "stays"}}
NOBODY = [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}]


@dataclass(frozen=True)
class Target:
    label: str
    path: str
    change: dict[str, Any]
    """What somebody sets by hand."""
    field: str
    """Where that is, as the Event names it."""

    @override
    def __str__(self) -> str:
        return self.label


TARGETS = [
    Target("RoleBinding/owners", f"{RBAC}/owners", {"subjects": NOBODY}, "subjects"),
    Target("RoleBinding/dreamhub-operator", f"{RBAC}/dreamhub-operator", {"subjects": NOBODY}, "subjects"),
    Target(
        "ServiceAccount/worker",
        f"{CORE}/serviceaccounts/worker",
        {"automountServiceAccountToken": True},
        "automountServiceAccountToken",
    ),
    Target(
        "ResourceQuota/tenant",
        f"{CORE}/resourcequotas/tenant",
        {"spec": {"hard": {"services.nodeports": "9"}}},
        "spec.hard.services.nodeports",
    ),
    Target("LimitRange/tenant", f"{CORE}/limitranges/tenant", {"spec": {"limits": []}}, "spec.limits"),
    Target("NetworkPolicy/default-deny", f"{POLICIES}/default-deny", {"spec": {"ingress": [{}]}}, "spec.ingress"),
    Target("NetworkPolicy/worker-egress", f"{POLICIES}/worker-egress", {"spec": {"egress": [{}]}}, "spec.egress"),
    Target(
        "Secret/dreamhub-credentials",
        f"{CORE}/secrets/dreamhub-credentials",
        {"data": {"extra": "bXk="}},
        "data.extra",
    ),
]
NAMESPACE = Target(
    f"Namespace/dh-{TENANT}",
    f"/api/v1/namespaces/dh-{TENANT}",
    {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    "metadata.labels[pod-security.kubernetes.io/enforce]",
)


@pytest_asyncio.fixture(scope="module")
async def tenant(api: Api, operator_process: OperatorProcess) -> str:
    operator_process.ensure()
    await ready_tenant(api, TENANT)
    return TENANT


@pytest.fixture
def _settled(tenant: str, operator: OperatorProcess) -> None:
    """There is such a Tenant, and an operator."""


@dataclass(frozen=True)
class Witness:
    """What was told of drift before, to see what is told of the next."""

    api: Api
    operator: OperatorProcess
    counted: float
    events: int

    async def expect(self, label: str, *fields: str) -> None:
        """Counted in the status and the metrics, with an Event that names the object and the fields."""

        async def told() -> bool:
            drift = await _read_drift(self.api)
            new = [text for text in (await _read_events(self.api))[self.events :] if text.startswith(f"{label}: ")]
            metric = await _count_corrections(self.operator, label.partition("/")[0])
            named = any(all(field in text for field in fields) for text in new)
            return bool(drift.get("corrected", 0) > 0 and named and metric > self.counted)

        await eventually(told, f"drift of {label} told with {fields}", 60)


async def _read_drift(api: Api) -> dict[str, Any]:
    drift: dict[str, Any] = (await api.ok("GET", f"{TENANTS}/{TENANT}"))["status"].get("drift", {})
    return drift


async def _read_events(api: Api) -> list[str]:
    """Messages about drift of the tenant, the oldest first."""
    items = (await api.ok("GET", "/api/v1/namespaces/default/events"))["items"]
    ours = [e for e in items if e["reason"] == "DriftCorrected" and e["involvedObject"]["name"] == TENANT]
    return [event["message"] for event in sorted(ours, key=lambda e: int(e["metadata"]["resourceVersion"]))]


async def _count_corrections(operator: OperatorProcess, kind: str) -> float:
    wanted = f'dreamhub_drift_corrected_total{{kind="{kind}"}}'
    lines = (await operator.fetch("/metrics")).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


async def watch_drift(api: Api, operator: OperatorProcess, kind: str) -> Witness:
    return Witness(api, operator, await _count_corrections(operator, kind), len(await _read_events(api)))


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("target", [*TARGETS, NAMESPACE], ids=str)
async def test_what_is_modified_is_set_back(api: Api, operator: OperatorProcess, target: Target) -> None:
    await api.merge(f"{target.path}?fieldManager=others", {"metadata": OTHERS})
    before = await api.ok("GET", target.path)
    witness = await watch_drift(api, operator, target.label.partition("/")[0])
    await api.merge(f"{target.path}?fieldManager=mallory", target.change)

    async def restored() -> dict[str, Any] | None:
        live: dict[str, Any] = await api.ok("GET", target.path)
        same = all(live.get(part) == before.get(part) for part in ("spec", "subjects", "automountServiceAccountToken"))
        labels = live["metadata"]["labels"] == before["metadata"]["labels"]
        return live if same and labels and sorted(live.get("data", {})) == sorted(before.get("data", {})) else None

    live = await eventually(restored, f"{target} is as before", 60)
    assert live["metadata"]["labels"]["team"] == "red"
    assert live["metadata"]["annotations"]["of-others"] == "stays"
    await witness.expect(target.label, target.field, "mallory")


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("target", TARGETS, ids=str)
async def test_what_is_deleted_comes_back(api: Api, operator: OperatorProcess, target: Target) -> None:
    before = await api.ok("GET", target.path)
    witness = await watch_drift(api, operator, target.label.partition("/")[0])
    await api.ok("DELETE", target.path)

    async def restored() -> bool:
        status, live = await api.call("GET", target.path)
        return status == 200 and live["metadata"]["uid"] != before["metadata"]["uid"]

    await eventually(restored, f"{target} is back", 60)
    await witness.expect(target.label, "the whole object")


@pytest.mark.usefixtures("_settled")
async def test_logins_of_a_person_are_not_kept(api: Api, operator: OperatorProcess) -> None:
    """Who may write the Secret could choose a password to log in with later."""
    path = f"{CORE}/secrets/dreamhub-credentials"
    url = _text(await api.ok("GET", path), "redis-url")
    login, _, address = url.rpartition("@")
    forged = f"{login.rpartition(':')[0]}:chosen-by-mallory@{address}"
    witness = await watch_drift(api, operator, "Secret")
    await api.merge(f"{path}?fieldManager=mallory", {"data": {"redis-url": base64.b64encode(forged.encode()).decode()}})

    async def works() -> bool:
        fresh = _text(await api.ok("GET", path), "redis-url")
        return fresh != forged and await _logs_in(fresh)

    await eventually(works, "another password, and it works", 60)
    assert not await _logs_in(forged)
    await witness.expect("Secret/dreamhub-credentials", "data.redis-url", "mallory")


def _text(secret: dict[str, Any], name: str) -> str:
    return base64.b64decode(secret["data"][name]).decode()


async def _logs_in(url: str) -> bool:
    client = Redis.from_url(url)
    try:
        return bool(await client.ping())
    except AuthenticationError:
        return False
    finally:
        await client.aclose()


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("~*", "keys"),
        ("&*", "channels"),
        ("+get", "commands"),
        ("-ping", "commands"),
        (">guessed", "passwords"),
        ("nopass", "passwords"),
        ("off", "on"),
        ("", "the whole user"),
    ],
)
async def test_a_redis_user_is_set_back(
    api: Api, operator: OperatorProcess, redis_client: Redis, rule: str, field: str
) -> None:
    user = f"t_{TENANT}"

    async def read() -> str | None:
        lines = [line if isinstance(line, str) else line.decode() for line in await redis_client.acl_list()]
        return next((line for line in lines if line.split(" ")[1] == user), None)

    before = await eventually(read, "the user is there", 60)
    witness = await watch_drift(api, operator, "RedisUser")
    if rule:
        await set_rule(redis_client, user, rule)
    else:
        await redis_client.acl_deluser(user)
    assert await read() != before

    async def restored() -> bool:
        return await read() == before

    await eventually(restored, "the user is as before", 60)
    await witness.expect(f"RedisUser/{user}", field)


async def set_rule(redis: Any, user: str, rule: str) -> None:
    """`redis` is Any because redis-py's raw command is untyped."""
    await redis.execute_command("ACL", "SETUSER", user, rule)


Look = Callable[[asyncpg.Connection], Awaitable[bool]]


def _holds(query: str) -> Look:
    async def look(conn: asyncpg.Connection) -> bool:
        return bool(await conn.fetchval(query))

    return look


@dataclass(frozen=True)
class Grant:
    statement: str
    """What a superuser does by hand."""
    right: str
    """A query that is true when it is undone."""
    field: str


GRANTS = [
    Grant(
        "GRANT SELECT ON t_adrift.documents TO PUBLIC",
        "SELECT NOT has_table_privilege('dreamhub_tenant', 't_adrift.documents', 'SELECT')",
        "table documents: grants to PUBLIC",
    ),
    Grant(
        "GRANT UPDATE (id) ON t_adrift.documents TO dreamhub_api",
        "SELECT NOT has_column_privilege('dreamhub_api', 't_adrift.documents', 'id', 'UPDATE')",
        "table documents (id): grants to dreamhub_api",
    ),
    Grant(
        "REVOKE SELECT ON t_adrift.chunks FROM t_adrift",
        "SELECT has_table_privilege('t_adrift', 't_adrift.chunks', 'SELECT')",
        "table chunks: grants to *",
    ),
    Grant(
        "REVOKE ALL ON SCHEMA t_adrift FROM t_adrift",
        "SELECT has_schema_privilege('t_adrift', 't_adrift', 'USAGE')",
        "schema: grants to *",
    ),
    Grant(
        "ALTER TABLE t_adrift.chunks DISABLE TRIGGER USER",
        "SELECT bool_and(tgenabled = 'O') FROM pg_trigger WHERE tgrelid = 't_adrift.chunks'::regclass",
        "table chunks: trigger quota_insert",
    ),
    Grant(
        "ALTER ROLE t_adrift SET row_security = off",
        "SELECT rolconfig IS NULL FROM pg_roles WHERE rolname = 't_adrift'",
        "role: setting row_security",
    ),
    Grant(
        "ALTER ROLE t_adrift INHERIT",
        "SELECT NOT rolinherit FROM pg_roles WHERE rolname = 't_adrift'",
        "role: attributes",
    ),
]


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: grant.statement)
async def test_grants_and_roles_are_set_back(api: Api, operator: OperatorProcess, stores: Stores, grant: Grant) -> None:
    conn = await asyncpg.connect(stores.database.server.superuser_url)
    look = _holds(grant.right)
    assert await look(conn)
    witness = await watch_drift(api, operator, "Database")
    await conn.execute(grant.statement)
    await eventually(lambda: look(conn), grant.right, 60)
    await conn.close()
    await witness.expect(f"Database/t_{TENANT}", grant.field)


@pytest.mark.usefixtures("_settled")
async def test_a_power_that_only_a_superuser_can_take_away_stops_the_tenant(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    conn = await asyncpg.connect(stores.database.server.superuser_url)
    await conn.execute("ALTER ROLE t_adrift BYPASSRLS")

    async def refused() -> str | None:
        found = condition(await api.ok("GET", f"{TENANTS}/{TENANT}"), "DatabaseReady")
        return found["message"] if found["status"] == "False" else None

    message = await eventually(refused, "DatabaseReady False", 60)
    assert "superuser" in message
    assert "role: attributes" in message
    await conn.execute("ALTER ROLE t_adrift NOBYPASSRLS")
    await conn.close()

    async def ready() -> bool:
        return bool(condition(await api.ok("GET", f"{TENANTS}/{TENANT}"), "Ready")["status"] == "True")

    await eventually(ready, "Ready again", 60)


async def test_a_redis_that_forgot_its_users_is_no_drift(
    api: Api, operator: OperatorProcess, redis_client: Redis
) -> None:
    """After a restart of Redis without an ACL file every user is gone, and nobody did it. The test cannot restart the
    shared server, so it starts the operator again instead: a process that has not seen the user cannot accuse anybody.
    """
    await ready_tenant(api, "forgotten")
    operator.kill()
    await redis_client.acl_deluser("t_forgotten")
    operator.start()

    async def back() -> bool:
        return "t_forgotten" in [
            name.decode() if isinstance(name, bytes) else name for name in await redis_client.acl_users()
        ]

    await eventually(back, "the user is back", 60)
    assert "drift" not in (await api.ok("GET", f"{TENANTS}/forgotten"))["status"]


async def test_a_change_is_seen_when_it_happens_and_not_when_its_time_comes(
    api: Api, operator: OperatorProcess, operator_environment: dict[str, str]
) -> None:
    """With a look at each tenant once a minute, only the watch can be back within half of one."""
    await ready_tenant(api, "patient")
    assert operator.stop() == 0
    slow = OperatorProcess({**operator.environment, "DREAMHUB_DRIFT_SECONDS": "45"}, operator.log, operator.port)
    slow.start()
    try:
        path = "/apis/networking.k8s.io/v1/namespaces/dh-patient/networkpolicies/default-deny"
        await eventually(lambda: _leads(slow), "the slow one leads", 60)
        for _ in range(2):
            await api.ok("DELETE", path)

            async def back() -> bool:
                return (await api.call("GET", path))[0] == 200

            await eventually(back, "the policy is back", 25)
    finally:
        slow.stop()


async def _leads(operator: OperatorProcess) -> bool:
    """And has looked at every Tenant once."""
    try:
        lines = (await operator.fetch("/metrics")).splitlines()
    except OSError:
        return False
    return any(line.startswith("dreamhub_tenants_reconciled ") and float(line.split()[1]) > 0 for line in lines)


FOREIGN = {
    "NetworkPolicy/wide-open": (
        POLICIES,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "wide-open"},
            "spec": {"podSelector": {}, "ingress": [{}]},
        },
    ),
    "RoleBinding/helpers": (
        RBAC,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "helpers", "labels": {"dreamhub.dev/owner-uid": "somebody-elses"}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": NOBODY,
        },
    ),
}


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("label", FOREIGN)
async def test_what_an_administrator_adds_is_told_and_left_alone(
    api: Api, operator: OperatorProcess, label: str
) -> None:
    path, body = FOREIGN[label]
    await api.ok("POST", path, body)

    async def told() -> bool:
        events = (await api.ok("GET", "/api/v1/namespaces/default/events"))["items"]
        named = any(e["reason"] == "ForeignObject" and e["message"].startswith(f"{label} ") for e in events)
        return named and label in (await _read_drift(api)).get("foreign", [])

    await eventually(told, f"{label} told", 60)
    kind, _, name = label.partition("/")
    metric = f'dreamhub_foreign_objects{{kind="{kind}"}} 1.0'
    assert metric in await operator.fetch("/metrics")
    await api.ok("DELETE", f"{path}/{name}")

    async def forgotten() -> bool:
        return not (await _read_drift(api)).get("foreign")

    await eventually(forgotten, f"{label} is not named any more", 60)
