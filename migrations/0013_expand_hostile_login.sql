-- What every role of PostgreSQL may do to itself, and what a stolen login made of it.
--
-- 1. ALTER DEFAULT PRIVILEGES needs no right on anything, may name any other role, and what it leaves keeps both roles from
--    being dropped: a tenant could make itself and every other one undeletable.
-- 2. A login that alters itself and does not commit holds its own record: it could not be ended, and whoever tried held up
--    the provisioning of all tenants. Such a session is ended; no program of ours alters its login.
-- 3. A lock on a tenant's own table held up what the operator asks about all tenants. That tenant is now passed over.

CREATE OR REPLACE FUNCTION dreamhub.serialize_provisioning() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    LOCK TABLE dreamhub.provisioning IN EXCLUSIVE MODE;
    -- Everybody waits for this transaction from here on, so it waits for nobody long.
    PERFORM set_config('lock_timeout', '5s', true);
END
$$;

CREATE FUNCTION dreamhub.end_sessions(login text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Only a member with the login's rights may end its sessions.
    EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', login);
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = login;
    EXECUTE format('REVOKE INHERIT OPTION FOR %I FROM dreamhub_owner', login);
END
$$;
REVOKE ALL ON FUNCTION dreamhub.end_sessions(text) FROM PUBLIC;

CREATE FUNCTION dreamhub.alter_login(login text, change text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER ROLE %I %s', login, change);
EXCEPTION WHEN lock_not_available THEN
    PERFORM dreamhub.end_sessions(login);
    EXECUTE format('ALTER ROLE %I %s', login, change);
END
$$;
COMMENT ON FUNCTION dreamhub.alter_login(text, text) IS
    'Change a login (SQL, not escaped), though a session of its own holds its record: that session is ended.';
REVOKE ALL ON FUNCTION dreamhub.alter_login(text, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dreamhub.limit_login(login text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dreamhub.alter_login(login, 'CONNECTION LIMIT 32');
    PERFORM dreamhub.alter_login(login, 'SET statement_timeout = ''10min''');
    PERFORM dreamhub.alter_login(login, 'SET idle_in_transaction_session_timeout = ''2min''');
    IF has_parameter_privilege('temp_file_limit', 'SET') THEN
        PERFORM dreamhub.alter_login(login, 'SET temp_file_limit = ''1GB''');
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.provision_role(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format(
            'CREATE ROLE %I NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role_name
        );
    END IF;
    -- Only where it is needed: the tenant's sessions may hold the record of their own role.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name AND rolinherit) THEN
        EXECUTE format('ALTER ROLE %I NOINHERIT', role_name);
    END IF;
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', role_name);
    EXECUTE format('GRANT %I TO dreamhub_api WITH INHERIT FALSE, SET TRUE', role_name);
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    PERFORM dreamhub.check_verifier(verifier);
    IF login IS NULL OR login = role_name THEN
        RAISE EXCEPTION 'not a slot: a tenant logs in as a or b' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format(
            'CREATE ROLE %I NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', login
        );
    END IF;
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', login);
    EXECUTE format('GRANT %I TO %I WITH INHERIT FALSE, SET TRUE', role_name, login);
    PERFORM dreamhub.alter_login(login, 'RESET ALL');
    PERFORM dreamhub.alter_login(login, format('LOGIN NOINHERIT PASSWORD %L VALID UNTIL ''infinity''', verifier));
    PERFORM dreamhub.limit_login(login);
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    IF login IS NULL OR moment IS NULL THEN
        RAISE EXCEPTION 'a slot and a moment are needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login AND rolcanlogin) THEN
        PERFORM dreamhub.alter_login(login, format('VALID UNTIL %L', moment));
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.end_login(tenant text, slot text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    IF login IS NULL THEN
        RAISE EXCEPTION 'not a slot: a tenant logs in as a or b' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        PERFORM dreamhub.end_sessions(login);
        PERFORM dreamhub.alter_login(login, 'NOLOGIN PASSWORD NULL');
        PERFORM dreamhub.end_sessions(login);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.drop_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '5s'
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    slot text;
    login text;
BEGIN
    PERFORM dreamhub.serialize_provisioning();
    FOREACH slot IN ARRAY ARRAY['a', 'b', ''] LOOP
        PERFORM dreamhub.end_login(tenant, slot);
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
        WHERE n.nspname = role_name AND r.rolname = 'dreamhub_owner'
    ) THEN
        EXECUTE format('DROP SCHEMA %I CASCADE', role_name);
    END IF;
    FOREACH slot IN ARRAY ARRAY['a', 'b', ''] LOOP
        login := dreamhub.login_name(tenant, slot);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            -- Default privileges: its own, and those that others made for it.
            EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', login);
            EXECUTE format('DROP OWNED BY %I', login);
            EXECUTE format('DROP ROLE %I', login);
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.fetch_admissions(tenants text[])
    RETURNS TABLE (tenant text, name text, uid text, age_seconds double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'
AS $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        IF to_regclass(format('%I.job_admissions', 't_' || wanted)) IS NOT NULL THEN
            BEGIN
                RETURN QUERY EXECUTE format(
                    'SELECT $1, a.name, a.uid, extract(epoch FROM now() - a.created_at)::double precision '
                    'FROM %I.job_admissions a ORDER BY a.created_at, a.name',
                    't_' || wanted
                ) USING wanted;
            EXCEPTION WHEN lock_not_available THEN
                NULL;  -- one of its sessions has locked the table: the others' places are looked at
            END;
        END IF;
    END LOOP;
END
$$;
