-- name: start_run
INSERT INTO ingest_runs (uid, job, holder, worker_build, progress) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (uid, tenant_id) DO UPDATE
SET attempt = ingest_runs.attempt + 1, holder = excluded.holder, worker_build = excluded.worker_build,
    updated_at = now(), finished_at = NULL
RETURNING attempt

-- name: save_progress
UPDATE ingest_runs
SET progress = $3, updated_at = now(), finished_at = CASE WHEN $4 THEN now() END
WHERE uid = $1 AND attempt = $2
RETURNING attempt

-- name: touch_run
UPDATE ingest_runs SET updated_at = now() WHERE uid = $1 AND attempt = $2 RETURNING attempt

-- name: lock_run
SELECT attempt FROM ingest_runs WHERE uid = $1 AND attempt = $2 FOR SHARE

-- name: record_run_document
INSERT INTO ingest_run_documents (
    uid, document_id, version_id, outcome, chunks, pages, tokens, error_class, error_reason, error_message
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (uid, document_id, tenant_id) DO UPDATE
SET version_id = excluded.version_id, outcome = excluded.outcome, chunks = excluded.chunks, pages = excluded.pages,
    tokens = excluded.tokens, error_class = excluded.error_class, error_reason = excluded.error_reason,
    error_message = excluded.error_message, finished_at = now()

-- name: fetch_finished_documents
SELECT document_id, version_id, outcome, chunks, pages, tokens, error_class, error_reason, error_message
FROM ingest_run_documents
WHERE uid = $1
ORDER BY document_id
