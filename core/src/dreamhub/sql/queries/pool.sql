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
    ) AS unguarded_tables
FROM pg_roles r
WHERE r.rolname = session_user
