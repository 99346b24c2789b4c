"""Tokens kept for IngestJobs from their admission to their end, and what a tenant's documents have taken so far.

For the operator. A reservation stands in the job's place in the queue and goes with it; see the migration on it.
"""

import json
from dataclasses import dataclass
from datetime import date
from typing import Literal

import asyncpg

from dreamhub import names
from dreamhub.domain.cost import Ratios, Seen
from dreamhub.errors import NotFoundError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("reservations")


@dataclass(frozen=True, slots=True)
class Shortage:
    """The limit that has no room for a job's tokens."""

    quota: Literal["tokensPerDay", "tokensPerMonth"]
    limit: int
    used: int
    kept: int
    """For other jobs that have begun."""
    missing: int
    """What this one still needs."""
    resets_on: date

    @property
    def hopeless(self) -> bool:
        """Whether the job would not fit even if nothing else was used."""
        return self.missing > self.limit

    def describe(self) -> str:
        needs = f"the job needs about {self.missing:,} tokens"
        if self.hopeless:
            return (
                f"{needs}, more than the tenant's limit of {self.limit:,} (spec.plan.{self.quota}): ingest fewer "
                "documents at a time, or ask for a larger plan"
            )
        return (
            f"{needs}; of the tenant's limit of {self.limit:,} (spec.plan.{self.quota}) {self.used:,} are used and "
            f"{self.kept:,} kept for jobs that run. It begins when jobs end, or on {self.resets_on} (UTC)"
        )


async def reserve_tokens(conn: Connection, tenant: str, uid: str, tokens: int) -> Shortage | None:
    """Keep tokens for a job with a place in the queue: in place of what was kept for it before. None when they are.

    Raises NotFoundError when the tenant has no tables, UnavailableError when the job has no place (any more).
    """
    absent = _absent(tenant)
    if not names.is_tenant_name(tenant):
        raise absent
    try:
        refusal = await conn.fetchval(_SQL["reserve_tokens"], tenant, uid, tokens)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.NoDataFoundError) as error:
        raise absent from error
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        raise UnavailableError("the job has lost its place in the queue; it takes another one") from error
    if refusal is None:
        return None
    told = json.loads(refusal)
    return Shortage(**{**told, "resets_on": date.fromisoformat(told["resets_on"])})


async def fetch_ratios(conn: Connection, tenant: str) -> Ratios:
    """What the tenant's latest documents have taken, by media type. Raises NotFoundError when it has no tables."""
    absent = _absent(tenant)
    if not names.is_tenant_name(tenant):
        raise absent
    sql = _SQL["fetch_ratios"].format(schema=f'"{names.database_role(tenant)}"')
    try:
        rows = await conn.fetch(sql)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise absent from error
    return Ratios({row["media_type"]: Seen(row["bytes"], row["tokens"]) for row in rows})


def _absent(tenant: str) -> NotFoundError:
    return NotFoundError(f"tenant {tenant} has no tables yet", code="TenantNotFound")
