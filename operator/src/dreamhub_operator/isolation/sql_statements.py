"""What one tenant's login tries on another's tables, as statements. Pure.

Every statement is harmless when it goes through: it touches no row, its arguments are refused by the function itself,
or its transaction is rolled back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Verb = Literal["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "LOCK", "COPY TO", "COPY FROM"]
VERBS: tuple[Verb, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "LOCK", "COPY TO", "COPY FROM")

_TEMPLATES = {
    "SELECT": "SELECT * FROM {0} LIMIT 1",
    "INSERT": "INSERT INTO {0} DEFAULT VALUES",
    "UPDATE": "UPDATE {0} SET tenant_id = NULL WHERE false",
    "DELETE": "DELETE FROM {0} WHERE false",
    "TRUNCATE": "TRUNCATE {0}",
    "LOCK": "LOCK TABLE {0} IN ACCESS SHARE MODE NOWAIT",
    "COPY TO": "SELECT * FROM {0} LIMIT 1",
    "COPY FROM": "{0}",
}
"""What to execute; for COPY TO the query to copy out, for COPY FROM the table to copy nothing into."""

PLATFORM_ROLES = ("dreamhub_owner", "dreamhub_api", "dreamhub_operator", "postgres")


@dataclass(frozen=True, slots=True)
class Relation:
    schema: str
    name: str

    @property
    def quoted(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One statement that must end with a refusal of permission, and what has to be set by hand before it."""

    name: str
    statement: str
    before: tuple[str, ...] = ()
    verb: Verb | None = None
    """COPY has a protocol of its own."""
    relation: Relation | None = None


@dataclass(frozen=True, slots=True)
class Oracle:
    """A statement that must be answered alike for a key of the other tenant and for one that nobody has."""

    name: str
    statement: str
    foreign: tuple[object, ...]
    absent: tuple[object, ...]
    before: tuple[tuple[str, tuple[object, ...]], ...] = ()


def quote(name: str) -> str:
    """An identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def table_attempts(relations: Iterable[Relation], peer: str) -> list[Attempt]:
    """Every verb on every relation; reading once more with the other tenant's name set by hand."""
    pretend = (f"SELECT set_config('app.tenant_id', {literal(peer)}, true)",)
    attempts: list[Attempt] = []
    for relation in relations:
        attempts += [
            Attempt(f"{verb} {relation.quoted}", _TEMPLATES[verb].format(relation.quoted), (), verb, relation)
            for verb in VERBS
        ]
        select = _TEMPLATES["SELECT"].format(relation.quoted)
        attempts.append(Attempt(f"SELECT {relation.quoted} with app.tenant_id = {peer}", select, pretend))
    return attempts


def role_attempts(peer_roles: Sequence[str]) -> list[Attempt]:
    roles = (*peer_roles, *PLATFORM_ROLES)
    as_role = [Attempt(f"SET ROLE {role}", f"SET ROLE {quote(role)}") for role in roles]
    sessions = [
        Attempt(f"SET SESSION AUTHORIZATION {role}", f"SET SESSION AUTHORIZATION {quote(role)}") for role in roles
    ]
    return as_role + sessions


def function_attempts(peer: str, peer_role: str) -> list[Attempt]:
    """The platform's own functions with arguments that they refuse, and the server's that reach outside."""
    calls = {
        "provision_tenant": "SELECT dreamhub.provision_tenant('', '')",
        "provision_role": "SELECT dreamhub.provision_role('', '')",
        "provision_partition": f"SELECT dreamhub.provision_partition({literal(peer)}, '')",
        "drop_tenant": "SELECT dreamhub.drop_tenant('')",
        "pg_read_file": "SELECT pg_read_file('PG_VERSION')",
        "pg_ls_dir": "SELECT pg_ls_dir('.')",
        "lo_import": "SELECT lo_import('PG_VERSION')",
        "COPY TO PROGRAM": "COPY (SELECT 1) TO PROGRAM 'true'",
        "pg_authid": "SELECT rolpassword FROM pg_authid LIMIT 1",
        "pg_statistic": "SELECT 1 FROM pg_statistic LIMIT 1",
        "session_replication_role": "SET session_replication_role = replica",
    }
    role = quote(peer_role)
    changes = {
        f"ALTER ROLE {peer_role}": f"ALTER ROLE {role} PASSWORD NULL",
        f"GRANT {peer_role}": f"GRANT {role} TO CURRENT_USER",
        "CREATE ROLE": "CREATE ROLE dreamhub_isolation_probe",
        "CREATE SCHEMA": "CREATE SCHEMA dreamhub_isolation_probe",
        "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLE dreamhub_isolation_probe ()",
        "CREATE TABLE public": "CREATE TABLE public.dreamhub_isolation_probe ()",
        f"CREATE TABLE {peer_role}": f"CREATE TABLE {role}.dreamhub_isolation_probe ()",
        f"DROP SCHEMA {peer_role}": f"DROP SCHEMA {role}",
    }
    return [Attempt(name, statement) for name, statement in (calls | changes).items()]


def wall_attempts(own: Iterable[Relation]) -> list[Attempt]:
    """Taking down what stands around one's own tables."""
    return [
        Attempt(f"ALTER TABLE {relation.quoted}", f"ALTER TABLE {relation.quoted} DISABLE ROW LEVEL SECURITY")
        for relation in own
    ]


@dataclass(frozen=True, slots=True)
class PeerKeys:
    """Keys of rows of the other tenant; what it has none of is made up."""

    tenant: str
    document: str
    version: str
    name_key: bytes


_VERSION = (
    "INSERT INTO document_versions (id, document_id, number, media_type, content_key, size_bytes) "
    "VALUES ($1, $2, 1000000, 'text/plain', '\\x00', 0)"
)
_DOCUMENT = "INSERT INTO documents (id, meta_ct, name_key, tag_keys, source) VALUES ($1, '\\x00', $2, '{}', 'upload')"


def oracles(peer: PeerKeys, unique: str) -> list[Oracle]:
    """Foreign and unique keys asked about the other tenant's rows. `unique` makes up ids that nobody has."""
    absent, other = f"doc_{unique}", f"doc_{unique}-own"
    name, absent_version = unique.encode(), f"ver_{unique}"
    return [
        Oracle("foreign key to a document", _VERSION, (absent_version, peer.document), (absent_version, absent)),
        Oracle("unique key of documents", _DOCUMENT, (peer.document, name), (absent, name)),
        Oracle("unique key of names", _DOCUMENT, (absent, peer.name_key), (absent, name)),
        Oracle(
            "unique key of versions",
            _VERSION,
            (peer.version, other),
            (absent_version, other),
            ((_DOCUMENT, (other, name)),),
        ),
    ]


def naming_statement() -> str:
    """A row of one's own that claims to be another tenant's ($1): the partition refuses it."""
    return (
        "INSERT INTO documents (tenant_id, id, meta_ct, name_key, tag_keys, source) "
        "VALUES ($1, $2, '\\x00', '\\x00', '{}', 'upload')"
    )
