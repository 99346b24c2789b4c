-- Whose stores bear a tenant's name: the UID of the Tenant that they were made for.
--
-- Names come back: a Tenant that was deleted by force, or with its definition, may be created again and is then another
-- one. What its namesake left is not its own, in the database no more than in Redis and S3, which go by this record. It is
-- made before the stores and removed after them, so that an interrupted removal goes on where it was. A tenant that was
-- there before this record is claimed by the first that asks, which is its Tenant.

CREATE TABLE dreamhub.tenant_owners (
    tenant text PRIMARY KEY CHECK (tenant ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'),
    owner text NOT NULL CHECK (owner ~ '^[-0-9a-zA-Z]{1,64}$'),
    claimed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dreamhub.tenant_owners IS
    'The UID of the Tenant that the stores of this name belong to. No tenant reads or writes it.';

CREATE FUNCTION dreamhub.tenant_owner(tenant text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.owner FROM dreamhub.tenant_owners o WHERE o.tenant = tenant_owner.tenant
$$;
COMMENT ON FUNCTION dreamhub.tenant_owner(text) IS 'UID of the Tenant that owns the stores of this name; NULL for nobody.';
REVOKE ALL ON FUNCTION dreamhub.tenant_owner(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.tenant_owner(text) TO dreamhub_operator;

CREATE FUNCTION dreamhub.claim_tenant(tenant text, owner text, former text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder text;
BEGIN
    INSERT INTO dreamhub.tenant_owners (tenant, owner) VALUES (claim_tenant.tenant, claim_tenant.owner)
    ON CONFLICT DO NOTHING;
    UPDATE dreamhub.tenant_owners o SET owner = claim_tenant.owner, claimed_at = now()
    WHERE o.tenant = claim_tenant.tenant AND o.owner = claim_tenant.former;
    SELECT o.owner INTO STRICT holder FROM dreamhub.tenant_owners o WHERE o.tenant = claim_tenant.tenant;
    RETURN holder;
END
$$;
COMMENT ON FUNCTION dreamhub.claim_tenant(text, text, text) IS
    'Make a Tenant the owner of what is nobody''s or, given by name, a former owner''s. Returns who owns it now.';
REVOKE ALL ON FUNCTION dreamhub.claim_tenant(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.claim_tenant(text, text, text) TO dreamhub_operator;

CREATE FUNCTION dreamhub.erase_tenant(tenant text, owner text) RETURNS void
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
    PERFORM dreamhub.drop_tenant(tenant);
END
$$;
COMMENT ON FUNCTION dreamhub.erase_tenant(text, text) IS
    'Destroy a tenant as dreamhub.drop_tenant does, when this is its owner. The record stays until release_tenant.';
REVOKE ALL ON FUNCTION dreamhub.erase_tenant(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.erase_tenant(text, text) TO dreamhub_operator;

CREATE FUNCTION dreamhub.release_tenant(tenant text, owner text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM dreamhub.tenant_owners o WHERE o.tenant = release_tenant.tenant AND o.owner = release_tenant.owner
$$;
COMMENT ON FUNCTION dreamhub.release_tenant(text, text) IS
    'The name is free: nothing of the tenant is left in any store. Nothing when another owns it.';
REVOKE ALL ON FUNCTION dreamhub.release_tenant(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.release_tenant(text, text) TO dreamhub_operator;
