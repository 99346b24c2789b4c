"""Whether tenants' users in Redis and their places in PostgreSQL are as the operator made them: two looks for all.

What this process has itself made since the look was taken is trusted: the look does not show it yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dreamhub.errors import ForbiddenError
from dreamhub.names import database_role, redis_user
from dreamhub.sql.audit import Digests, Line, digest_of, find_differences, find_excess
from dreamhub.sql.logins import FormerSlot
from dreamhub.storage import redis_audit
from dreamhub.storage.redis_acl import build_rules
from dreamhub_operator.ports import Cache, Database
from dreamhub_operator.recent import Recent
from dreamhub_operator.reconcile.drift import RIGHT, UNKNOWN, Finding


@dataclass
class CacheAudit:
    cache: Cache
    seconds: float
    _lives: dict[str, str] = field(default_factory=dict)
    """By tenant: the life of the server in which its user was last seen, right or not."""
    _users: Recent[redis_audit.Users] = field(init=False)

    def __post_init__(self) -> None:
        self._users = Recent(self.cache.fetch_users, self.seconds)

    async def check(self, tenant: str, digests: Sequence[str], made_at: float | None) -> Finding:
        """`made_at`: when this process last made the user so, None when it never did."""
        users, read_at = await self._users.get()
        if made_at is not None and read_at <= made_at:
            return RIGHT
        present = users.rules.get(redis_user(tenant))
        if present is not None:
            self._lives[tenant] = users.life
        faults = redis_audit.find_differences(build_rules(tenant, digests), present)
        if not faults:
            return RIGHT
        forgotten = faults == (redis_audit.WHOLE,) and self._lives.get(tenant) != users.life
        return Finding(faults, foreign=not forgotten)

    def forget(self, tenant: str) -> None:
        self._lives.pop(tenant, None)


@dataclass
class DatabaseAudit:
    """Compares every tenant with one that this process has provisioned."""

    database: Database
    seconds: float
    _expected: frozenset[Line] | None = None
    _accepted: dict[str, dict[str, str]] = field(default_factory=dict)
    """By tenant: digests of what differs however often it is provisioned, which is told once."""
    _version: int = 0
    _digests: Recent[Digests] = field(init=False)

    def __post_init__(self) -> None:
        self._digests = Recent(self.database.fetch_digests, self.seconds)

    async def check(self, tenant: str, slot: FormerSlot, made_at: float | None) -> Finding:
        """`slot`: the login in use. `made_at`: when this process last provisioned the tenant so, None for never."""
        found, read_at = await self._digests.get()
        if found.version != self._version:
            self._version, self._expected = found.version, None
            self._accepted.clear()
        if made_at is not None and read_at <= made_at:
            return RIGHT
        if self._expected is None:
            return UNKNOWN
        parts = _parts(slot)
        present = {name: found.tenants.get(tenant, {}).get(part, "") for part, name in parts.items()}
        if present in (self._accepted.get(tenant), _digests_of(self._expected, parts)):
            return RIGHT
        state = _rename(await self.database.inspect(tenant), parts)
        return Finding(find_differences(_only(self._expected, parts), state), foreign=True)

    async def learn(self, tenant: str, slot: FormerSlot) -> tuple[str, ...]:
        """Called after the tenant was provisioned; returns what is not right even now.

        Raises ForbiddenError when that opens the tenant to others, or others to it.
        """
        parts = _parts(slot)
        state = _rename(await self.database.inspect(tenant), parts)
        excess = find_excess(state)
        if excess:
            raise ForbiddenError(_not_ours_to_take(tenant, excess))
        if self._expected is None and slot:
            self._expected = state
        left = find_differences(_only(self._expected or state, parts), state)
        self._accepted.pop(tenant, None)
        if left:
            self._accepted[tenant] = _digests_of(state, parts)
        return left

    @property
    def needs_learning(self) -> bool:
        return self._expected is None

    def forget(self, tenant: str) -> None:
        self._accepted.pop(tenant, None)


def _parts(slot: FormerSlot) -> dict[str, str]:
    """What is compared, by its part of the catalogs. A role that is itself the login is like no other."""
    return {"": "", "role": "role", slot: "login"} if slot else {"": ""}


def _rename(state: Iterable[Line], parts: Mapping[str, str]) -> frozenset[Line]:
    return frozenset(replace(line, part=parts[line.part]) for line in state if line.part in parts)


def _only(state: Iterable[Line], parts: Mapping[str, str]) -> frozenset[Line]:
    return frozenset(line for line in state if line.part in parts.values())


def _digests_of(state: Iterable[Line], parts: Mapping[str, str]) -> dict[str, str]:
    lines = _only(state, parts)
    return {name: digest_of(line for line in lines if line.part == name) for name in parts.values()}


def _not_ours_to_take(tenant: str, excess: Sequence[str]) -> str:
    return (
        f"PostgreSQL gives tenant {tenant} or others more than is right, and only a superuser can take it away: "
        f"{'; '.join(excess)}; see \\du {database_role(tenant)} and \\dp, then ALTER ROLE or REVOKE"
    )
