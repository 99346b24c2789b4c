-- Erasing a tenant locks the parents of its partitions, in the order in which writers of other tenants come by them.
--
-- A session's first write into a partition looks at the parent and keeps a weak lock on it until it commits; dropping a
-- partition needs a strong one. Taken in the order in which DROP SCHEMA happens to go, the two ended in a deadlock, and
-- another tenant's upload could lose. Now the eraser waits at the first parent, holding none that a writer still needs.

CREATE OR REPLACE FUNCTION dreamhub.erase_tenant(tenant text, owner text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '5s'
AS $$
DECLARE
    name text;
BEGIN
    PERFORM FROM dreamhub.tenant_owners o
    WHERE o.tenant = erase_tenant.tenant AND o.owner = erase_tenant.owner FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the stores of tenant % do not belong to %', tenant, owner
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        EXECUTE format('LOCK TABLE ONLY dreamhub.%I IN ACCESS EXCLUSIVE MODE', name);
    END LOOP;
    PERFORM dreamhub.drop_tenant(tenant);
END
$$;
