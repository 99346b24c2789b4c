-- name: fetch_server_facts
SELECT
    current_setting('server_version_num')::integer AS version,
    (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector,
    session_user::text AS login,
    r.rolsuper AS superuser,
    r.rolbypassrls AS bypasses_row_security,
    ARRAY(
        SELECT c.relname::text
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'dreamhub' AND c.relkind = 'p' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        ORDER BY 1
    ) AS unguarded_tables,
    EXISTS (
        SELECT FROM pg_shdepend d
        WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'
    ) AS owns_objects,
    -- As it logged in, before it takes a tenant's role. Chunks stand for all: no service's login has a grant on them.
    EXISTS (
        SELECT FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = 'chunks' AND c.relkind IN ('r', 'p') AND (n.nspname = 'dreamhub' OR n.nspname LIKE 't\_%')
            AND n.nspname <> r.rolname AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
    ) AS reads_content
FROM pg_roles r
WHERE r.rolname = session_user
