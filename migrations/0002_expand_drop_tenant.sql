-- Taking a tenant away: what dreamhub.provision_tenant made, and every row with it.
--
-- Dropping a partition locks its parent against others for a moment. Services name partitions, never parents, so nobody
-- waits for that; a lock that does not come within five seconds is somebody's long transaction, and the caller tries
-- again later instead of making everybody queue behind it.

CREATE FUNCTION dreamhub.drop_tenant(tenant text) RETURNS void
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
    PERFORM pg_advisory_xact_lock(hashtextextended('dreamhub.provision_tenant', 0));
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
COMMENT ON FUNCTION dreamhub.drop_tenant(text) IS
    'Destroy a tenant: sessions, schema with all rows, role. An absent one is fine.';
REVOKE ALL ON FUNCTION dreamhub.drop_tenant(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.drop_tenant(text) TO dreamhub_operator;
