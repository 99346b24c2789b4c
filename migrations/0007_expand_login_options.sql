-- A login becomes the tenant's role by an option of its connection (`options=-crole=t_<tenant>` in the URL), and no longer
-- by a default of its own: a function with its owner's rights cannot set that default, and the login could change it.
-- As itself a login may connect and nothing else.

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
    EXECUTE format('ALTER ROLE %I RESET ALL', login);
    EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT PASSWORD %L VALID UNTIL ''infinity''', login, verifier);
    PERFORM dreamhub.limit_login(login);
END
$$;
