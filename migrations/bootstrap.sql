-- Once per database, as a superuser connected to it (the embedded PostgreSQL runs it at first start; for an external
-- one, run it by psql). Everything after it is done by `dreamhub_owner`, which is no superuser. Safe to repeat.
--
-- It sets no passwords. Give each login one afterwards:
--   ALTER ROLE dreamhub_owner PASSWORD '...';      the migration Job
--   ALTER ROLE dreamhub_api PASSWORD '...';        the API server
--   ALTER ROLE dreamhub_operator PASSWORD '...';   the operator
--
-- Needs PostgreSQL 16 or later (grants with INHERIT and SET options) and pgvector 0.8.4 or later.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dreamhub_owner') THEN
        CREATE ROLE dreamhub_owner;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dreamhub_api') THEN
        CREATE ROLE dreamhub_api;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dreamhub_operator') THEN
        CREATE ROLE dreamhub_operator;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dreamhub_tenant') THEN
        CREATE ROLE dreamhub_tenant;
    END IF;
END
$$;

-- Owns every object of ours and makes the tenants' roles.
ALTER ROLE dreamhub_owner LOGIN NOINHERIT NOSUPERUSER NOCREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS;
-- Becomes a tenant by SET LOCAL ROLE, and may nothing as itself.
ALTER ROLE dreamhub_api LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
-- Provisions tenants through one function and reads the progress of their runs.
ALTER ROLE dreamhub_operator LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
-- Every tenant's role is a member: the right to connect stands here once, not once for each tenant.
ALTER ROLE dreamhub_tenant NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
GRANT dreamhub_tenant TO dreamhub_owner WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;

DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO dreamhub_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO dreamhub_api, dreamhub_operator, dreamhub_tenant', current_database()
    );
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- What any login may call by default, and with it hold up or fill what all share: advisory locks, notifications, large
-- objects, messages in the WAL. The owner keeps the locks, for releases whose migrations still take one.
DO $$
DECLARE
    shared regprocedure;
BEGIN
    FOR shared IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND (
            proname ~ '^pg_(try_)?advisory_(xact_)?lock'
            OR proname IN ('pg_notify', 'pg_logical_emit_message', 'lo_creat', 'lo_create', 'lo_from_bytea')
        )
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', shared);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO dreamhub_owner', shared);
    END LOOP;
END
$$;

-- A tenant's logins may use up the connections of everybody but not those that `reserved_connections` keeps back.
GRANT pg_use_reserved_connections TO dreamhub_owner, dreamhub_api, dreamhub_operator WITH INHERIT TRUE, SET FALSE;
-- So that it can limit the temporary files of a tenant's login, a setting which that login cannot lift.
GRANT SET ON PARAMETER temp_file_limit TO dreamhub_owner;

CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
