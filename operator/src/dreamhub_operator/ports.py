"""What the operator needs from PostgreSQL, Redis and S3, as it sees them. `stores` implements them, tests replace them.

All methods raise TransientError when their server does not answer.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from dreamhub.sql.runs import ResolvedDocument, RunStatus


class Database(Protocol):
    async def provision(self, tenant: str, password: str) -> None:
        """Make or complete the tenant's role, schema and partitions. Idempotent."""

    async def drop(self, tenant: str) -> None:
        """Destroy the tenant's role, schema and everything in it. Idempotent."""

    async def count_documents(self, tenant: str) -> int:
        """How many documents the tenant has; 0 when it has no schema."""

    async def resolve(self, tenant: str, document_ids: Collection[str]) -> Mapping[str, ResolvedDocument]:
        """The latest version of each document that exists."""

    async def fetch_runs(self, tenant: str, uids: Collection[str]) -> Mapping[str, RunStatus]:
        """The runs that have begun, among these."""

    async def ping(self) -> None:
        """Whether it answers and its schema suits this build."""


class Cache(Protocol):
    async def set_user(self, tenant: str, password: str) -> None:
        """Make the tenant's user exactly as it should be. Idempotent."""

    async def delete_user(self, tenant: str) -> None:
        """Remove the tenant's user and end its connections."""

    async def delete_keys(self, tenant: str) -> None:
        """Remove everything under the tenant's prefix."""


class Objects(Protocol):
    async def presign_get(self, tenant: str, version_id: str, seconds: int) -> str: ...

    async def presign_put(self, tenant: str, version_id: str, seconds: int) -> str: ...

    async def delete_all(self, tenant: str) -> None:
        """Remove every object of the tenant."""
