"""What the system catalogue tells a tenant's own login about the walls around it.

A statement shows whether two walls together hold. The catalogue shows each of them alone: a grant behind a schema that
is closed, forced row security behind a grant that is missing, a role that could be taken by a third.
"""

from collections.abc import Sequence

from dreamhub.sql.connections import Connection
from dreamhub_operator.isolation.side import Side
from dreamhub_operator.isolation.sql_statements import Relation

PLATFORM_SCHEMAS = ("dreamhub",)
MEMBERS = ("dreamhub_api", "dreamhub_owner")
"""Platform roles that are members of each tenant's role: the API becomes it, the owner made it."""
READERS = ("dreamhub_owner", "dreamhub_operator")
"""Platform roles with grants of their own on a tenant's tables."""
SHARED_ROLE = "dreamhub_tenant"

_RELATIONS = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 1, 2
"""

_LOGINS = """
SELECT rolname FROM pg_roles WHERE rolname = $1 OR starts_with(rolname, $1 || '.') ORDER BY 1
"""

_ATTRIBUTES = """
SELECT r.rolname || ': ' || a.name
FROM pg_roles r
CROSS JOIN LATERAL (VALUES
    ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls), ('CREATEROLE', r.rolcreaterole),
    ('CREATEDB', r.rolcreatedb), ('REPLICATION', r.rolreplication)
) a (name, held)
WHERE r.rolname IN (session_user, current_user) AND a.held
"""

_MEMBERSHIPS = """
SELECT rolname FROM pg_roles
WHERE pg_has_role(session_user, oid, 'MEMBER') AND rolname <> session_user AND rolname <> ALL($1)
"""

_MEMBERS = """
SELECT m.member::regrole::text FROM pg_auth_members m
WHERE m.roleid = (SELECT oid FROM pg_roles WHERE rolname = $1)
    AND m.member NOT IN (SELECT oid FROM pg_roles WHERE rolname = ANY($2))
"""

_PRIVILEGES = """
SELECT p.name || ' on ' || n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES
    ('SELECT', has_any_column_privilege(c.oid, 'SELECT')), ('INSERT', has_any_column_privilege(c.oid, 'INSERT')),
    ('UPDATE', has_any_column_privilege(c.oid, 'UPDATE')),
    ('REFERENCES', has_any_column_privilege(c.oid, 'REFERENCES')),
    ('DELETE', has_table_privilege(c.oid, 'DELETE')), ('TRUNCATE', has_table_privilege(c.oid, 'TRUNCATE')),
    ('TRIGGER', has_table_privilege(c.oid, 'TRIGGER'))
) p (name, held)
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND p.held
"""

_SCHEMAS = """
SELECT p.name || ' on schema ' || n.nspname FROM pg_namespace n
CROSS JOIN LATERAL (VALUES
    ('USAGE', n.nspname <> 'public' AND has_schema_privilege(n.oid, 'USAGE')),
    ('CREATE', has_schema_privilege(n.oid, 'CREATE'))
) p (name, held)
WHERE n.nspname = ANY($1 || ARRAY['public']) AND p.held
UNION ALL
SELECT p.name || ' on the database' FROM (VALUES ('CREATE'), ('TEMPORARY')) p (name)
WHERE has_database_privilege(current_database(), p.name)
"""

_FUNCTIONS = """
SELECT p.oid::regprocedure::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.prosecdef
    AND p.prorettype <> 'trigger'::regtype AND has_function_privilege(p.oid, 'EXECUTE')
    AND has_schema_privilege(n.oid, 'USAGE')
"""

_GRANTEES = """
SELECT DISTINCT coalesce(g.rolname, 'PUBLIC') || ' on ' || o.name
FROM (
    SELECT n.nspname::text AS name, n.nspacl AS acl FROM pg_namespace n WHERE n.nspname = $1
    UNION ALL
    SELECT n.nspname || '.' || c.relname, c.relacl
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1
    UNION ALL
    SELECT n.nspname || '.' || c.relname || '.' || a.attname, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1
) o
CROSS JOIN LATERAL aclexplode(o.acl) e
LEFT JOIN pg_roles g ON g.oid = e.grantee
WHERE coalesce(g.rolname, 'PUBLIC') <> ALL($2)
"""

_UNGUARDED = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'dreamhub' AND c.relkind = 'p' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
"""

_POLICIES = """
SELECT c.relname || coalesce(': ' || p.polname, ': no policy')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_policy p ON p.polrelid = c.oid
WHERE n.nspname = 'dreamhub' AND c.relkind = 'p' AND p.polpermissive IS NOT FALSE AND (
    p.oid IS NULL
    OR pg_get_expr(coalesce(p.polqual, p.polwithcheck), p.polrelid) IS DISTINCT FROM $1
    OR p.polwithcheck IS NOT NULL AND pg_get_expr(p.polwithcheck, p.polrelid) IS DISTINCT FROM $1
)
"""
_POLICY = "(tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text))"

_BOUNDS = """
SELECT c.relname || ' ' || pg_get_expr(c.relpartbound, c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relispartition
    AND pg_get_expr(c.relpartbound, c.oid) <> format('FOR VALUES IN (%L)', $2::text)
"""

_STATISTICS = "SELECT tablename || '.' || attname FROM pg_stats WHERE schemaname = ANY($1) LIMIT 1"


async def fetch_relations(conn: Connection, schemas: Sequence[str]) -> list[Relation]:
    rows = await conn.fetch(_RELATIONS, list(schemas))
    return [Relation(row["schema"], row["name"]) for row in rows]


async def fetch_logins(conn: Connection, role: str) -> list[str]:
    """The tenant's role and its logins."""
    return [row["rolname"] for row in await conn.fetch(_LOGINS, role)]


async def find_holes(conn: Connection, attacker: Side, victim: Side) -> list[tuple[str, str | None]]:
    """Each wall by its name, with what is wrong with it, None when nothing is."""
    schemas = [victim.schema, *PLATFORM_SCHEMAS]
    own = await fetch_logins(conn, attacker.role)
    questions: list[tuple[str, str, tuple[object, ...]]] = [
        ("attributes of its role", _ATTRIBUTES, ()),
        ("roles it is a member of", _MEMBERSHIPS, ([*own, SHARED_ROLE],)),
        ("who can become it", _MEMBERS, (attacker.role, [*own, *MEMBERS])),
        ("privileges on another's tables", _PRIVILEGES, (schemas,)),
        ("privileges on schemas and database", _SCHEMAS, (schemas,)),
        ("functions with their owner's rights", _FUNCTIONS, ()),
        ("grants to others on its tables", _GRANTEES, (attacker.schema, [attacker.role, *READERS])),
        ("forced row security of the parents", _UNGUARDED, ()),
        ("policies of the parents", _POLICIES, (_POLICY,)),
        ("bounds of its partitions", _BOUNDS, (attacker.schema, attacker.tenant)),
        ("statistics of another's columns", _STATISTICS, (schemas,)),
    ]
    return [(name, await _first(conn, query, arguments)) for name, query, arguments in questions]


async def _first(conn: Connection, query: str, arguments: tuple[object, ...]) -> str | None:
    found: list[str] = [row[0] for row in await conn.fetch(query, *arguments)]
    if not found:
        return None
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"found {found[0]}{more}"
