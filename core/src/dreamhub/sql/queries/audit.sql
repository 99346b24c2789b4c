-- What the catalogs say about every tenant's roles, schema and tables, in words that are the same for all tenants: a
-- tenant's own names are written as '*'. Readable by everybody who may connect; passwords are not, and are not in it.

-- name: all
WITH spaces AS (
    SELECT oid, nspname AS role, substr(nspname, 3) AS tenant, nspacl, nspowner
    FROM pg_namespace WHERE nspname LIKE 't\_%'
), tables AS (
    SELECT s.tenant, s.role, c.oid, c.relname, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity
    FROM spaces s JOIN pg_class c ON c.relnamespace = s.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
)

-- name: one
-- No index leads from a schema to its tables but that of what depends on it.
WITH spaces AS (
    SELECT oid, nspname AS role, substr(nspname, 3) AS tenant, nspacl, nspowner
    FROM pg_namespace WHERE nspname = 't_' || $1
), tables AS (
    SELECT s.tenant, s.role, c.oid, c.relname, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity
    FROM spaces s
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid
        AND d.classid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.objid AND c.relnamespace = s.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
)

-- name: lines
, roles AS (
    SELECT s.tenant, s.role, r.oid, r.rolname, r.rolcanlogin, r.rolinherit, p.part,
        r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls, r.rolconnlimit
    FROM spaces s
    CROSS JOIN LATERAL (VALUES ('role', s.role), ('a', (s.role || '.a')::name), ('b', (s.role || '.b')::name))
        p (part, name)
    JOIN pg_roles r ON r.rolname = p.name
), grants AS (
    SELECT s.tenant, s.role, 'schema' AS object, a.grantee, a.privilege_type, a.is_grantable
    FROM spaces s, aclexplode(COALESCE(s.nspacl, acldefault('n', s.nspowner))) a
    UNION ALL
    SELECT t.tenant, t.role, 'table ' || t.relname, a.grantee, a.privilege_type, a.is_grantable
    FROM tables t, aclexplode(COALESCE(t.relacl, acldefault('r', t.relowner))) a
    UNION ALL
    SELECT t.tenant, t.role, 'table ' || t.relname || ' (' || c.attname || ')', a.grantee, a.privilege_type,
        a.is_grantable
    FROM tables t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attacl IS NOT NULL, aclexplode(c.attacl) a
), lines AS (
    SELECT tenant, part, 'role' AS object, 'attributes' AS field,
        concat_ws(
            ' ', CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolinherit THEN 'INHERIT' END,
            CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
            CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
            CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, 'CONNECTION LIMIT ' || rolconnlimit
        ) AS value
    FROM roles
    UNION ALL
    SELECT r.tenant, r.part, 'role', 'setting ' || split_part(setting, '=', 1), replace(setting, r.role, '*')
    FROM roles r JOIN pg_db_role_setting s ON s.setrole = r.oid, unnest(s.setconfig) setting
    UNION ALL
    SELECT r.tenant, r.part, 'role', 'member of ' || CASE WHEN g.rolname = r.role THEN '*' ELSE g.rolname END,
        concat_ws(' ', m.inherit_option, m.set_option, m.admin_option)
    FROM roles r JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid
    UNION ALL
    SELECT r.tenant, r.part, 'role', 'granted to ' || g.rolname,
        concat_ws(' ', m.inherit_option, m.set_option, m.admin_option)
    FROM roles r JOIN pg_auth_members m ON m.roleid = r.oid JOIN pg_roles g ON g.oid = m.member
    WHERE g.rolname NOT IN (r.role || '.a', r.role || '.b')
    UNION ALL
    SELECT tenant, '', 'schema', 'owner', pg_get_userbyid(nspowner) FROM spaces
    UNION ALL
    SELECT tenant, '', 'table ' || relname, 'owner', pg_get_userbyid(relowner) FROM tables
    UNION ALL
    SELECT tenant, '', 'table ' || relname, 'row security', concat_ws(' ', relrowsecurity, relforcerowsecurity)
    FROM tables
    UNION ALL
    SELECT t.tenant, '', 'table ' || t.relname, 'trigger ' || g.tgname, g.tgenabled::text
    FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT tenant, '', object, 'grants to ' || CASE
            WHEN grantee = 0 THEN 'PUBLIC'
            WHEN pg_get_userbyid(grantee) = role THEN '*'
            ELSE pg_get_userbyid(grantee)
        END,
        string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ' ' ORDER BY privilege_type)
    FROM grants
    GROUP BY tenant, role, object, grantee
)

-- name: digests
SELECT tenant, part, md5(string_agg(concat_ws('|', object, field, value), E'\n'
    ORDER BY object COLLATE "C", field COLLATE "C", value COLLATE "C")) AS digest
FROM lines GROUP BY tenant, part

-- name: state
SELECT part, object, field, value FROM lines

-- name: strip_tenant
SELECT dreamhub.strip_tenant($1)
