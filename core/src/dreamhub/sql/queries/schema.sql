-- name: fetch_schema_version
SELECT COALESCE(max(version), 0) FROM dreamhub.schema_migrations

-- name: create_history
-- As dreamhub_owner; services may read which schema they meet.
CREATE SCHEMA IF NOT EXISTS dreamhub;
GRANT USAGE ON SCHEMA dreamhub TO dreamhub_api, dreamhub_operator;
CREATE TABLE IF NOT EXISTS dreamhub.schema_migrations (
    version integer PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('expand', 'contract')),
    title text NOT NULL,
    sha256 bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON dreamhub.schema_migrations TO dreamhub_api, dreamhub_operator;

-- name: fetch_history
SELECT version, kind, title, sha256, applied_at FROM dreamhub.schema_migrations ORDER BY version

-- name: record_migration
INSERT INTO dreamhub.schema_migrations (version, kind, title, sha256) VALUES ($1, $2, $3, $4)

-- name: has_history
SELECT to_regclass('dreamhub.schema_migrations') IS NOT NULL

-- name: lock_first_run
-- Before the first migration there is no table to lock, and no tenant who could take this lock.
SELECT pg_advisory_xact_lock(hashtextextended('dreamhub.migrations', 0))

-- name: lock_migrations
-- Readers go on. Not an advisory lock: any login may take those, and a tenant's would hold up the release.
LOCK TABLE dreamhub.schema_migrations IN SHARE ROW EXCLUSIVE MODE

-- name: name_tenant
-- For a migration that runs once for each tenant; forgotten when its transaction ends.
SELECT set_config('dreamhub.tenant', $1, true)
