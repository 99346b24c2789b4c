-- name: provision_tenant
SELECT dreamhub.provision_tenant($1)

-- name: drop_tenant
SELECT dreamhub.drop_tenant($1)

-- name: count_documents
-- For the operator, which is no tenant: the schema is spelled.
SELECT count(*) FROM {schema}.documents

-- name: count_sealed
SELECT dreamhub.count_sealed($1, $2)

-- name: fetch_rekey_run
-- For the operator, which is no tenant: the schema is spelled.
SELECT total, done, finished_at FROM {schema}.rekey_runs WHERE key_id = $1

-- name: fetch_tenants
SELECT substr(n.nspname, 3) AS tenant
FROM pg_namespace n
JOIN pg_roles r ON r.oid = n.nspowner
WHERE n.nspname LIKE 't\_%' AND r.rolname = 'dreamhub_owner'
