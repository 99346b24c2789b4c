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
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
