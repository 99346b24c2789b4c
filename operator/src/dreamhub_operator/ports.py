"""What the operator needs from PostgreSQL, Redis and S3, as it sees them. `stores` implements them, tests replace them.

All methods raise TransientError when their server does not answer.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from dreamhub.domain.call_budget import Rates
from dreamhub.domain.cost import Ratios
from dreamhub.domain.fair_books import Books, Entry
from dreamhub.domain.vector_index import VectorIndex
from dreamhub.sql.audit import Digests, Line
from dreamhub.sql.fair_books import Moment
from dreamhub.sql.logins import FormerSlot
from dreamhub.sql.quota import Admission, Limits, QuotaUsage
from dreamhub.sql.reservations import Shortage
from dreamhub.sql.runs import ResolvedDocument, RunStatus
from dreamhub.sql.tenants import RekeyRun
from dreamhub.storage.model_budget import Calls, Place
from dreamhub.storage.redis_audit import Users
from dreamhub_operator.desired.credentials import Credentials


class Database(Protocol):
    async def provision(self, tenant: str, credentials: Credentials, *, strip: bool = False) -> None:
        """Make or complete the tenant's role, schema, partitions and logins. Idempotent.

        `strip`: take away what others have granted, too.
        """

    async def fetch_digests(self) -> Digests:
        """What the catalogs say about every tenant, as digests."""

    async def inspect(self, tenant: str) -> frozenset[Line]:
        """What they say about one."""

    async def set_login(self, tenant: str, credentials: Credentials) -> None:
        """Accept the login, and leave the one before as it is. Idempotent."""

    async def end_login(self, tenant: str, slot: FormerSlot) -> None:
        """Refuse the login and end its sessions. Idempotent."""

    async def count_sealed(self, tenant: str, key_id: str) -> int:
        """Rows that are encrypted by this data key."""

    async def fetch_rekey_run(self, tenant: str, key_id: str) -> RekeyRun | None:
        """How far content has come under this data key; None before that has begun."""

    async def fetch_owner(self, tenant: str) -> str | None:
        """UID of the Tenant that the stores of this name belong to; None when nobody has claimed them."""

    async def claim(self, tenant: str, owner: str, former: str | None) -> None:
        """Make `owner` their owner. Idempotent. ConflictError: they are neither nobody's nor `former`'s."""

    async def erase(self, tenant: str, owner: str) -> None:
        """Destroy the tenant's logins, schema and everything in it. Idempotent. ConflictError: it is another's."""

    async def release(self, tenant: str, owner: str) -> None:
        """Free the name, once nothing is left in any store. Idempotent."""

    async def count_documents(self, tenant: str) -> int:
        """How many documents the tenant has; 0 when it has no schema."""

    async def resolve(
        self, tenant: str, document_ids: Collection[str], as_of: datetime | None = None
    ) -> Mapping[str, ResolvedDocument]:
        """The latest version of each document that exists, or that was the latest at that moment."""

    async def fetch_runs(self, tenant: str, uids: Collection[str]) -> Mapping[str, RunStatus]:
        """The runs that have begun, among these."""

    async def fetch_ratios(self, tenant: str) -> Ratios:
        """What the tenant's latest documents have taken, by media type."""

    async def ping(self) -> None:
        """Whether it answers and its schema suits this build."""


class Quotas(Protocol):
    """Limits, usage and places in the queue, which the database counts and enforces by itself."""

    async def set_limits(self, tenant: str, limits: Limits, *, suspended: bool) -> None:
        """Replace all limits of the tenant. Raises NotFoundError when it has no tables."""

    async def fetch_usage(self, tenants: Collection[str]) -> Mapping[str, QuotaUsage]:
        """What these have and may have, in one query; those without tables are left out."""

    async def fetch_admissions(self, tenants: Collection[str]) -> Mapping[str, Sequence[Admission]]:
        """The places taken, in one query; tenants without any are left out."""

    async def admit_jobs(self, tenant: str, jobs: Mapping[str, str]) -> frozenset[str]:
        """Give places to jobs (UIDs by name) in this order while there are any; the names that have one now."""

    async def release_jobs(self, tenant: str, names: Collection[str]) -> None:
        """Take back places, and the tokens that are kept with them. Idempotent."""

    async def reserve_tokens(self, tenant: str, uid: str, tokens: int) -> Shortage | None:
        """Keep tokens for an IngestJob that has a place; why they cannot be kept, or None. Idempotent."""


class Ledger(Protocol):
    """What tenants have used of the workers: books that only the operator keeps."""

    async def fetch_books(self, half_life: float) -> Books: ...

    async def enter(self, entry: Entry, moment: Moment) -> None:
        """One step, whole or not at all. Idempotent."""

    async def forget_balances(self, kept: Collection[str]) -> None:
        """What all tenants but these have used."""


class Vectors(Protocol):
    """Vector indexes and statistics of tenants' chunks."""

    async def fetch(self, tenants: Collection[str]) -> Mapping[str, VectorIndex]:
        """As they are, in one query; tenants that never had a searchable chunk are left out."""

    async def build(self, tenant: str) -> bool:
        """Whether there was an index to build. May take minutes."""

    async def drop(self, tenant: str) -> None:
        """Search exactly from now on. Idempotent."""

    async def refresh(self, tenant: str) -> None:
        """Gather statistics."""


class Cache(Protocol):
    async def fetch_users(self) -> Users:
        """Every user as the server has it."""

    async def set_user(self, tenant: str, digests: Sequence[str]) -> None:
        """Make the tenant's user exactly as it should be, with passwords of these digests. Idempotent."""

    async def delete_user(self, tenant: str) -> None:
        """Remove the tenant's user and end its connections."""

    async def delete_keys(self, tenant: str) -> None:
        """Remove everything under the tenant's prefix."""

    async def fetch_calls(self, places: Sequence[Place]) -> Mapping[Place, Calls]:
        """What tenants' processes have counted of their calls to models; places without calls are left out."""

    async def put_shares(self, shares: Mapping[Place, Rates], gone: Collection[Place]) -> None:
        """What tenants may use of models' limits for the next two minutes; those of `gone` nothing any more."""


class Objects(Protocol):
    async def presign_get(self, tenant: str, version_id: str, seconds: int) -> str: ...

    async def presign_put(self, tenant: str, version_id: str, seconds: int) -> str: ...

    async def delete_all(self, tenant: str) -> None:
        """Remove every object of the tenant."""
