-- Limits, usage and queues of tenants, for the operator.

-- name: set_limits
SELECT dreamhub.set_limits($1, $2::jsonb)

-- name: fetch_quotas
SELECT tenant, quota, (now() AT TIME ZONE 'UTC')::date AS today FROM dreamhub.fetch_quotas($1::text[])

-- name: fetch_admissions
SELECT tenant, name, uid, age_seconds FROM dreamhub.fetch_admissions($1::text[])

-- name: admit_jobs
SELECT dreamhub.admit_jobs($1, $2::text[], $3::text[])

-- name: release_jobs
SELECT dreamhub.release_jobs($1, $2::text[])
