"""What is seen of tenants' users and grants, and who is said to have changed them."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from dreamhub.errors import ForbiddenError
from dreamhub.sql.audit import Digests, Line, digest_of
from dreamhub.storage.redis_acl import build_rules
from dreamhub.storage.redis_audit import Users
from dreamhub_operator.reconcile.drift import RIGHT, UNKNOWN, Finding
from dreamhub_operator.store_audit import CacheAudit, DatabaseAudit

DIGESTS = ["a" * 64]


def rules(*more: str) -> tuple[str, ...]:
    return (*(rule for rule in build_rules("acme", DIGESTS) if rule != "reset"), *more)


class Redis:
    def __init__(self, *users: Users) -> None:
        self.users = list(users)

    async def fetch_users(self) -> Users:
        return self.users.pop(0)


async def look(audit: CacheAudit, made_at: float | None = None) -> Finding:
    return await audit.check("acme", DIGESTS, made_at)


def cache(*users: Users) -> CacheAudit:
    """Each check reads anew."""
    return CacheAudit(cast("Any", Redis(*users)), seconds=-1)


def test_an_intact_user_is_right_and_a_changed_one_is_somebody_elses_work() -> None:
    audit = cache(Users("1", {"t_acme": rules()}), Users("1", {"t_acme": rules("+get")}))
    assert asyncio.run(look(audit)) == RIGHT
    assert asyncio.run(look(audit)) == Finding(("commands",), foreign=True)


@pytest.mark.parametrize(("life", "foreign"), [("1", True), ("2", False)])
def test_a_server_that_started_again_has_forgotten_and_nobody_did_it(life: str, *, foreign: bool) -> None:
    audit = cache(Users("1", {"t_acme": rules()}), Users(life, {}))
    assert asyncio.run(look(audit)) == RIGHT
    assert asyncio.run(look(audit)) == Finding(("the whole user",), foreign=foreign)


def test_a_user_that_was_only_seen_wrong_did_not_vanish_by_itself() -> None:
    audit = cache(Users("1", {"t_acme": rules("+get")}), Users("1", {}))
    assert asyncio.run(look(audit)) == Finding(("commands",), foreign=True)
    assert asyncio.run(look(audit)) == Finding(("the whole user",), foreign=True)


def test_what_was_made_after_the_look_is_trusted() -> None:
    audit = cache(Users("1", {}))
    assert asyncio.run(look(audit, made_at=float("inf"))) == RIGHT


def lines(slot: str, *more: Line) -> frozenset[Line]:
    return frozenset(
        {
            Line("", "schema", "owner", "dreamhub_owner"),
            Line("role", "role", "attributes", "CONNECTION LIMIT -1"),
            Line(slot, "role", "attributes", "LOGIN CONNECTION LIMIT 32"),
            *more,
        }
    )


GRANT = Line("", "table documents", "grants to dreamhub_api", "SELECT")
POWER = Line("role", "role", "attributes", "BYPASSRLS")
STRANGER = Line("", "table documents", "grants to mallory", "SELECT")


@dataclass
class Catalogs:
    tenants: dict[str, frozenset[Line]]
    version: int = 1
    inspected: list[str] = field(default_factory=list)

    async def fetch_digests(self) -> Digests:
        found = {
            tenant: {part: digest_of(line for line in state if line.part == part) for part in {x.part for x in state}}
            for tenant, state in self.tenants.items()
        }
        return Digests(self.version, found)

    async def inspect(self, tenant: str) -> frozenset[Line]:
        self.inspected.append(tenant)
        return self.tenants[tenant]


def database(**tenants: frozenset[Line]) -> tuple[DatabaseAudit, Catalogs]:
    catalogs = Catalogs(tenants)
    return DatabaseAudit(cast("Any", catalogs), seconds=-1), catalogs


async def test_nothing_is_known_before_one_tenant_was_provisioned_and_then_of_all() -> None:
    audit, catalogs = database(acme=lines("a"), other=lines("b"))
    assert await audit.check("other", "b", None) == UNKNOWN
    assert await audit.learn("acme", "a") == ()
    catalogs.inspected.clear()
    assert await audit.check("other", "b", None) == RIGHT
    assert catalogs.inspected == []


async def test_what_differs_is_named() -> None:
    audit, _ = database(acme=lines("a"), other=lines("b", GRANT))
    await audit.check("acme", "a", None)
    await audit.learn("acme", "a")
    found = await audit.check("other", "b", None)
    assert found == Finding(("table documents: grants to dreamhub_api",), foreign=True)


async def test_another_version_of_the_schema_is_learned_anew() -> None:
    audit, catalogs = database(acme=lines("a"))
    await audit.check("acme", "a", None)
    await audit.learn("acme", "a")
    catalogs.version = 2
    assert await audit.check("acme", "a", None) == UNKNOWN


async def test_what_stays_different_is_told_once() -> None:
    audit, catalogs = database(acme=lines("a"), other=lines("b"))
    await audit.check("acme", "a", None)
    await audit.learn("acme", "a")
    catalogs.tenants["other"] = lines("b", GRANT)
    assert await audit.learn("other", "b") == ("table documents: grants to dreamhub_api",)
    assert await audit.check("other", "b", None) == RIGHT


@pytest.mark.parametrize("excess", [POWER, STRANGER])
async def test_a_tenant_with_too_much_is_refused_and_is_no_example(excess: Line) -> None:
    audit, _ = database(acme=lines("a", excess), other=lines("b"))
    await audit.check("acme", "a", None)
    with pytest.raises(ForbiddenError, match="superuser"):
        await audit.learn("acme", "a")
    assert audit.needs_learning
