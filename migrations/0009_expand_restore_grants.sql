-- Taking back what others gave or took by hand. Provisioning adds what is missing; this takes away what is too much.
--
-- Both run in one transaction, so that nobody ever finds the tenant without its grants. What only a superuser gave, a
-- power of a role or a membership, only a superuser can take away: it stays, and the operator reports it.

CREATE FUNCTION dreamhub.strip_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    statement text;
BEGIN
    PERFORM dreamhub.serialize_provisioning();
    FOR statement IN
        WITH tables AS (
            SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relacl, c.relowner
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = role_name AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        ), grants AS (
            SELECT format('SCHEMA %I', n.nspname) AS object, a.grantee, n.nspowner AS owner
            FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = role_name
            UNION
            SELECT 'TABLE ' || t.name, a.grantee, t.relowner FROM tables t, aclexplode(t.relacl) a
            UNION
            SELECT 'TABLE ' || t.name, a.grantee, t.relowner
            FROM tables t JOIN pg_attribute c ON c.attrelid = t.oid, aclexplode(c.attacl) a
        )
        SELECT format(
            'REVOKE ALL ON %s FROM %s CASCADE', object,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
        )
        FROM grants WHERE grantee <> owner
        UNION ALL
        SELECT format('ALTER TABLE %s ENABLE TRIGGER %I', t.name, g.tgname)
        FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid
        WHERE NOT g.tgisinternal AND g.tgenabled <> 'O'
        UNION ALL
        SELECT format('REVOKE %I FROM %I CASCADE', r.rolname, g.rolname)
        FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid JOIN pg_roles g ON g.oid = m.member
        WHERE r.rolname = role_name AND m.grantor = 'dreamhub_owner'::regrole
            AND g.rolname NOT IN ('dreamhub_owner', 'dreamhub_api', role_name || '.a', role_name || '.b')
        UNION ALL
        SELECT format('ALTER ROLE %I IN DATABASE %I RESET ALL', r.rolname, d.datname)
        FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
        WHERE r.rolname IN (role_name, role_name || '.a', role_name || '.b')
        UNION ALL
        SELECT format('ALTER ROLE %I RESET ALL', rolname)
        FROM pg_roles WHERE rolname = role_name AND rolconfig IS NOT NULL AND NOT rolcanlogin
        UNION ALL
        SELECT format('ALTER ROLE %I NOINHERIT NOCREATEROLE CONNECTION LIMIT -1', rolname)
        FROM pg_roles WHERE rolname = role_name AND NOT rolcanlogin AND NOT rolsuper
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION dreamhub.strip_tenant(text) IS
    'Take every grant on a tenant''s schema and tables from everybody; dreamhub.provision_tenant gives the right ones.';
REVOKE ALL ON FUNCTION dreamhub.strip_tenant(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.strip_tenant(text) TO dreamhub_operator;
