-- name: fetch_runs
-- For the operator, which is no tenant: the one place where the schema is spelled. It keeps nothing that is long, for
-- tenants' logins may write it: no progress of ours has more than 64 kB.
SELECT
    uid,
    CASE
        WHEN pg_column_size(progress) <= 65536 AND octet_length(progress::text) <= 65536 THEN progress
    END AS progress,
    attempt,
    left(worker_build, 200) AS worker_build,
    collected_at IS NOT NULL AS collected
FROM {schema}.ingest_runs
WHERE uid = ANY ($1::text[])

-- name: resolve_documents
SELECT DISTINCT ON (v.document_id)
    v.document_id, left(v.id, 200) AS id, v.state = 'active' AS active, v.size_bytes,
    left(v.media_type, 200) AS media_type, now() AS read_at
FROM {schema}.document_versions v
WHERE v.document_id = ANY ($1::text[]) AND ($2::timestamptz IS NULL OR v.created_at <= $2)
ORDER BY v.document_id, v.number DESC

-- name: fetch_run
SELECT uid, progress, attempt, worker_build, collected_at IS NOT NULL AS collected FROM ingest_runs WHERE uid = $1

-- name: list_run_documents
SELECT
    document_id, version_id, coalesce(finding, outcome) AS outcome, name_ct, chunks, pages, tokens, 0 AS attempts,
    error_class, error_reason, error_message, finished_at
FROM ingest_run_documents
WHERE uid = $1 AND ($2::text IS NULL OR document_id > $2)
    AND ($4::text[] IS NULL OR coalesce(finding, outcome) = ANY ($4)) AND ($5::text IS NULL OR error_reason = $5)
ORDER BY document_id
LIMIT $3

-- name: list_open_documents
SELECT
    document_id, version_id, 'Queued' AS outcome, NULL::bytea AS name_ct, 0 AS chunks, 0 AS pages, 0 AS tokens,
    attempts, error_class, error_reason, error_message, NULL::timestamptz AS finished_at
FROM work_items
WHERE uid = $1 AND state = 'Queued' AND ($2::text IS NULL OR document_id > $2)
    AND ($4::text IS NULL OR error_reason = $4)
ORDER BY document_id
LIMIT $3
