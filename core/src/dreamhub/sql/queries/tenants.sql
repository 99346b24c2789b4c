-- name: provision_tenant
SELECT dreamhub.provision_tenant($1, $2)

-- name: drop_tenant
SELECT dreamhub.drop_tenant($1)

-- name: count_documents
-- For the operator, which is no tenant: the schema is spelled.
SELECT count(*) FROM {schema}.documents

-- name: fetch_tenants
SELECT substr(n.nspname, 3) AS tenant
FROM pg_namespace n
JOIN pg_roles r ON r.oid = n.nspowner
WHERE n.nspname LIKE 't\_%' AND r.rolname = 'dreamhub_owner'
