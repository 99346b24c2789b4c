"""Ways to take a wall down in a scratch environment: never in the product's files, never in anybody's database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import override

if TYPE_CHECKING:
    import asyncpg


class StaleRemovalError(Exception):
    """What a removal changes is not there any more: its row in the table has to follow the product."""


@dataclass(frozen=True, slots=True)
class SourceEdit:
    """Import a module with one piece of its text replaced."""

    module: str
    old: str
    new: str

    @override
    def __str__(self) -> str:
        new = f"`{' '.join(self.new.split())}`" if self.new else "nothing"
        return f"{self.module}: `{' '.join(self.old.split())}` becomes {new}"

    def edit(self, text: str) -> str:
        """Raises StaleRemovalError."""
        if text.count(self.old) != 1:
            raise StaleRemovalError(f"{self.module} holds {text.count(self.old)} times: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Statement:
    """Run SQL as a superuser on the migrated database. `{table}` stands for each of the tenants' tables."""

    sql: str

    @override
    def __str__(self) -> str:
        return self.sql

    async def apply(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        tables = await conn.fetchval("SELECT dreamhub.tenant_tables()") if "{table}" in self.sql else [""]
        for table in tables:
            await conn.execute(self.sql.replace("{table}", f'"{table}"'))


@dataclass(frozen=True, slots=True)
class FunctionEdit:
    """Replace a piece of a function in the migrated database."""

    function: str
    """Its name and argument types, without the schema."""
    old: str
    new: str

    @override
    def __str__(self) -> str:
        new = f"`{' '.join(self.new.split())}`" if self.new else "nothing"
        return f"dreamhub.{self.function}: `{' '.join(self.old.split())}` becomes {new}"

    async def apply(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Raises StaleRemovalError."""
        text = await conn.fetchval("SELECT pg_get_functiondef(to_regprocedure($1))", f"dreamhub.{self.function}")
        if text is None or text.count(self.old) != 1:
            raise StaleRemovalError(f"{self.function} holds {(text or '').count(self.old)} times: {self.old!r}")
        await conn.execute(text.replace(self.old, self.new))


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Do not install a ValidatingAdmissionPolicyBinding: its policy then binds nobody."""

    binding: str

    @override
    def __str__(self) -> str:
        return f"ValidatingAdmissionPolicyBinding {self.binding} is not installed"


@dataclass(frozen=True, slots=True)
class OpenNetwork:
    """Add a NetworkPolicy that allows everything in one direction to each tenant's namespace: policies add up."""

    direction: str
    """Ingress or Egress."""

    @override
    def __str__(self) -> str:
        return f"a NetworkPolicy that allows all {self.direction.lower()} in tenants' namespaces"

    def manifest(self) -> dict[str, object]:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"walls-open-{self.direction.lower()}"},
            "spec": {"podSelector": {}, "policyTypes": [self.direction], self.direction.lower(): [{}]},
        }


Removal: TypeAlias = SourceEdit | Statement | FunctionEdit | LeaveOut | OpenNetwork


@dataclass(frozen=True, slots=True)
class Wall:
    name: str
    removals: Sequence[Removal]
    """All of them together take the wall down."""
    tests: Sequence[str]
    """At least one of them must fail without the wall; all of them pass with it."""

    @property
    def on_cluster(self) -> bool:
        """Whether it stands on the local cluster only."""
        return any(isinstance(removal, OpenNetwork) for removal in self.removals)
