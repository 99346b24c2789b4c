-- Ending a tenant's sessions leaves no membership behind: what is not as in other tenants is taken for somebody's doing.

CREATE OR REPLACE FUNCTION dreamhub.end_sessions(login text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Only a member with the login's rights may end its sessions.
    EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', login);
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = login;
    EXECUTE format('REVOKE %I FROM dreamhub_owner', login);
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.end_holders() RETURNS void
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
        EXECUTE format('REVOKE %I FROM dreamhub_owner', holder.usename);
    END LOOP;
END
$$;
