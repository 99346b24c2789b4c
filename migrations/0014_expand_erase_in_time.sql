-- A tenant that keeps a transaction open holds up the erasure of no other.
--
-- Whoever writes into a partition keeps a weak lock on its parent until the transaction ends, and the eraser needs a strong
-- one: a single session of any tenant, idle in a transaction, kept every tenant from being erased, and each try made all
-- writers wait. What is in the way after two seconds is ended: a worker whose session ends goes on with another one.

CREATE FUNCTION dreamhub.lock_parents() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        EXECUTE format('LOCK TABLE ONLY dreamhub.%I IN ACCESS EXCLUSIVE MODE', name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION dreamhub.lock_parents() IS
    'In the order in which writers come by them: waiting at one, this holds none that a writer still needs.';
REVOKE ALL ON FUNCTION dreamhub.lock_parents() FROM PUBLIC;

CREATE FUNCTION dreamhub.end_holders() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder record;
BEGIN
    PERFORM pg_stat_clear_snapshot();
    FOR holder IN
        SELECT DISTINCT a.pid, a.usename
        FROM pg_locks l
        JOIN pg_stat_activity a ON a.pid = l.pid
        JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        JOIN pg_class c ON c.oid = l.relation
        WHERE l.granted AND c.relnamespace = 'dreamhub'::regnamespace AND c.relname = ANY (dreamhub.tenant_tables())
            AND a.usename ~ '^t_[-a-z0-9]+([.][ab])?$'
    LOOP
        -- Only a member with the login's rights may end its sessions.
        EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', holder.usename);
        PERFORM pg_terminate_backend(holder.pid);
        EXECUTE format('REVOKE INHERIT OPTION FOR %I FROM dreamhub_owner', holder.usename);
    END LOOP;
END
$$;
COMMENT ON FUNCTION dreamhub.end_holders() IS 'End the sessions of tenants'' logins that hold a lock on a parent.';
REVOKE ALL ON FUNCTION dreamhub.end_holders() FROM PUBLIC;

CREATE OR REPLACE FUNCTION dreamhub.erase_tenant(tenant text, owner text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '5s'
AS $$
BEGIN
    PERFORM FROM dreamhub.tenant_owners o
    WHERE o.tenant = erase_tenant.tenant AND o.owner = erase_tenant.owner FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the stores of tenant % do not belong to %', tenant, owner
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    BEGIN
        PERFORM set_config('lock_timeout', '2s', true);
        PERFORM dreamhub.lock_parents();
    EXCEPTION WHEN lock_not_available THEN
        PERFORM dreamhub.end_holders();
        PERFORM dreamhub.lock_parents();
    END;
    PERFORM dreamhub.drop_tenant(tenant);
END
$$;
