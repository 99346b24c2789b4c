-- Originals outlive a crash of whoever handles them, and nobody outside can hold up what the platform does.
--
-- 1. An object of the store and the row about it cannot be written at once. Every object that may be nobody's has a row
--    in `object_outbox`, written in the transaction that decides: before bytes are stored (an intention that the
--    registration takes away), where they turn out to be known, and where a document is deleted. A sweeper settles it.
-- 2. A claim of a version names the run and its attempt, so that another run waits for it instead of stealing.
-- 3. Provisioning is serialised by a table that only its owner can lock, not by an advisory lock that any login may take.
-- 4. A login of a tenant has limits that it cannot lift.

CREATE TABLE dreamhub.object_outbox (
    tenant_id text NOT NULL,
    version_id text NOT NULL CHECK (version_id ~ '^ver_[0-9a-f]{32}$'),
    doomed boolean NOT NULL,
    duplicate_of text CHECK (duplicate_of ~ '^ver_[0-9a-f]{32}$'),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (version_id, tenant_id)
) PARTITION BY LIST (tenant_id);
CREATE INDEX ON dreamhub.object_outbox (due_at);
COMMENT ON TABLE dreamhub.object_outbox IS 'Objects that may be nobody''s: settled when due, unless a version of the id stands.';
COMMENT ON COLUMN dreamhub.object_outbox.doomed IS
    'False: bytes may be on their way, and registering the version takes the row away. True: nothing may register it.';
COMMENT ON COLUMN dreamhub.object_outbox.duplicate_of IS
    'The version that has the same bytes: its object is replaced by this one when it is lost.';
ALTER TABLE dreamhub.object_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.object_outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON dreamhub.object_outbox
    USING (tenant_id = NULLIF(pg_catalog.current_setting('app.tenant_id', true), ''));

ALTER TABLE dreamhub.document_versions ADD COLUMN holder_run text, ADD COLUMN holder_attempt integer;
COMMENT ON COLUMN dreamhub.document_versions.holder_run IS
    'UID of the run whose claim this is, with its attempt: while that attempt lives, another run waits.';

CREATE OR REPLACE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY[
        'documents', 'document_versions', 'chunks', 'index_generations', 'term_counts', 'ingest_runs',
        'ingest_run_documents', 'object_outbox'
    ];

CREATE TABLE dreamhub.provisioning ();
COMMENT ON TABLE dreamhub.provisioning IS 'Empty: locked while a tenant is made or taken away.';

CREATE FUNCTION dreamhub.serialize_provisioning() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    LOCK TABLE dreamhub.provisioning IN EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION dreamhub.serialize_provisioning() IS
    'One at a time until the transaction ends. A table, because any login may take any advisory lock.';
REVOKE ALL ON FUNCTION dreamhub.serialize_provisioning() FROM PUBLIC;

-- A role's own settings may be changed by the role itself, except for those that need a privilege: the number of
-- connections and the size of temporary files stand, the rest ends what was forgotten and stops nobody who wants to.
CREATE FUNCTION dreamhub.limit_login(login text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER ROLE %I CONNECTION LIMIT 32', login);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = ''10min''', login);
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''2min''', login);
    IF has_parameter_privilege('temp_file_limit', 'SET') THEN
        EXECUTE format('ALTER ROLE %I SET temp_file_limit = ''1GB''', login);
    END IF;
END
$$;
COMMENT ON FUNCTION dreamhub.limit_login(text) IS
    'What one login of a tenant may use of the server. temp_file_limit needs the grant that bootstrap.sql gives.';
REVOKE ALL ON FUNCTION dreamhub.limit_login(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dreamhub.provision_role(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := 't_' || tenant;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format(
            'CREATE ROLE %I LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS',
            role_name
        );
    END IF;
    EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT PASSWORD %L', role_name, verifier);
    PERFORM dreamhub.limit_login(role_name);
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', role_name);
    EXECUTE format('GRANT %I TO dreamhub_api WITH INHERIT FALSE, SET TRUE', role_name);
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.provision_tenant(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := 't_' || tenant;
    name text;
BEGIN
    IF tenant IS NULL OR tenant !~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$' THEN
        RAISE EXCEPTION 'not a tenant name: a DNS label of at most 40 characters is needed'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF verifier IS NULL
        OR verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$'
    THEN
        RAISE EXCEPTION 'not a SCRAM-SHA-256 verifier: passwords are never passed to the database'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    PERFORM dreamhub.provision_role(tenant, verifier);
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, dreamhub_operator', schema_name, schema_name);
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        PERFORM dreamhub.provision_partition(tenant, name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I', schema_name, name, schema_name);
    END LOOP;
    EXECUTE format(
        'GRANT SELECT ON %1$I.documents, %1$I.document_versions, %1$I.ingest_runs, %1$I.ingest_run_documents '
        'TO dreamhub_operator',
        schema_name
    );
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.drop_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '5s'
AS $$
DECLARE
    role_name text := 't_' || tenant;
BEGIN
    IF tenant IS NULL OR tenant !~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$' THEN
        RAISE EXCEPTION 'not a tenant name: a DNS label of at most 40 characters is needed'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        -- No new login, and those that are there end: only a member with the role's rights may end them.
        EXECUTE format('ALTER ROLE %I NOLOGIN', role_name);
        EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', role_name);
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = role_name;
    END IF;
    IF EXISTS (
        SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
        WHERE n.nspname = role_name AND r.rolname = 'dreamhub_owner'
    ) THEN
        EXECUTE format('DROP SCHEMA %I CASCADE', role_name);
    END IF;
    EXECUTE format('DROP ROLE IF EXISTS %I', role_name);
END
$$;

-- Tenants that are there already: the new table, which deletions write to from now on.
DO $$
DECLARE
    tenant text;
BEGIN
    FOR tenant IN
        SELECT substr(n.nspname, 3) FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
        WHERE n.nspname LIKE 't\_%' AND r.rolname = 'dreamhub_owner'
    LOOP
        PERFORM dreamhub.provision_partition(tenant, 'object_outbox');
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE, DELETE ON %1$I.object_outbox TO %1$I', 't_' || tenant
        );
    END LOOP;
END
$$;
