-- name: fetch_owner
SELECT dreamhub.tenant_owner($1)

-- name: claim_tenant
SELECT dreamhub.claim_tenant($1, $2, $3)

-- name: erase_tenant
SELECT dreamhub.erase_tenant($1, $2)

-- name: release_tenant
SELECT dreamhub.release_tenant($1, $2)
