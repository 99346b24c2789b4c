"""Getting hold of what a tenant itself has: its Secret's logins, its owner's token, ids of a document of its own."""

import asyncpg

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import UnavailableError
from dreamhub.names import CANARY_TENANT, CREDENTIALS_SECRET, OWNER_SERVICE_ACCOUNT, TOKEN_AUDIENCE, namespace
from dreamhub.sql.connections import translate_failures
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.desired.credentials import DATABASE_URL, REDIS_URL, read_entry
from dreamhub_operator.isolation.side import Side
from dreamhub_operator.kinds import SECRET
from dreamhub_operator.watched import Watched

TOKEN_SECONDS = 600
"""The shortest life that Kubernetes gives."""
CONNECT_SECONDS = 10.0

_OLDEST = """
SELECT d.id AS document, v.id AS version
FROM documents d LEFT JOIN document_versions v ON v.document_id = d.id
ORDER BY d.created_at, v.number DESC LIMIT 1
"""


async def fetch_side(cluster: Cluster, watched: Watched, tenant: Tenant) -> Side:
    """Raises DreamHubError when something of it is not to be had."""
    name = tenant.metadata.name
    space = namespace(name)
    secret = await cluster.get(ObjectKey(SECRET, CREDENTIALS_SECRET, space))
    database, redis = read_entry(secret, DATABASE_URL), read_entry(secret, REDIS_URL)
    if database is None or redis is None:
        raise UnavailableError(f"the Secret {CREDENTIALS_SECRET} in {space} is not complete")
    jobs = (watched.ingest_jobs[uid].metadata.name for uid in watched.ingest_jobs_in(space))
    return Side(
        tenant=name,
        database_url=database,
        redis_url=redis,
        token=await cluster.create_token(OWNER_SERVICE_ACCOUNT, space, TOKEN_AUDIENCE, TOKEN_SECONDS),
        document=None,
        version=None,
        jobs=tuple(sorted(jobs)),
        expendable=name == CANARY_TENANT,
    )


async def fetch_document(side: Side) -> tuple[str | None, str | None]:
    """Ids of its oldest document and of that one's latest version, as its own login sees them."""
    with translate_failures():
        conn = await asyncpg.connect(side.database_url, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)
        try:
            row = await conn.fetchrow(_OLDEST)
        finally:
            await conn.close(timeout=CONNECT_SECONDS)
    return (row["document"], row["version"]) if row is not None else (None, None)
