-- name: lock_version
SELECT
    v.id, v.document_id, v.number, v.media_type, v.state, v.size_bytes, v.content_key, v.generation, v.landing,
    v.landing_build, v.landing_generation, v.chunks_stored, v.holder_run, v.holder_attempt, v.holder_worker,
    d.meta_ct, a.number AS active_number
FROM document_versions v
JOIN documents d ON d.id = v.document_id
LEFT JOIN document_versions a ON a.id = d.active_version
WHERE v.id = $1
FOR UPDATE OF v

-- name: is_attempt_alive
-- A worker that was overtaken, has not been heard of for a while, or whose run is over holds nothing. Runs of earlier
-- builds have no workers' rows.
SELECT EXISTS (
    SELECT FROM ingest_runs r
    LEFT JOIN run_workers w ON w.uid = r.uid AND w.worker = $2
    WHERE r.uid = $1 AND r.finished_at IS NULL AND coalesce(w.attempt, r.attempt) = $3
        AND coalesce(w.updated_at, r.updated_at) > now() - make_interval(secs => $4)
)

-- name: take_version
UPDATE document_versions
SET fence = fence + 1, holder = $2, landing = $3, landing_build = $4, landing_generation = $5, chunks_stored = $6,
    holder_run = $7, holder_attempt = $8, holder_worker = $9,
    state = CASE state WHEN 'active' THEN 'active' ELSE 'landing' END,
    error_class = NULL, error_reason = NULL, error_message = NULL
WHERE id = $1
RETURNING fence

-- name: release_version
UPDATE document_versions SET holder_run = NULL, holder_attempt = NULL, holder_worker = NULL
WHERE id = $1 AND fence = $2

-- name: advance_checkpoint
-- Takes the row lock that holds off other claims, deletions and activations until the batch is committed.
UPDATE document_versions SET chunks_stored = $5
WHERE id = $1 AND fence = $2 AND landing = $3 AND chunks_stored = $4
RETURNING chunks_stored

-- name: fetch_checkpoint
SELECT chunks_stored FROM document_versions WHERE id = $1 AND fence = $2 AND landing = $3

-- name: lock_claimed
SELECT v.number, v.chunks_stored, d.active_version, a.number AS active_number, a.shown AS old_shown,
    a.generation AS old_generation, a.chunks AS old_chunks
FROM document_versions v
JOIN documents d ON d.id = v.document_id
LEFT JOIN document_versions a ON a.id = d.active_version
WHERE v.id = $1 AND v.fence = $2 AND v.landing = $3
FOR UPDATE OF v

-- name: hide_version
UPDATE document_versions SET shown = NULL, state = 'uploaded', chunks = 0 WHERE id = $1

-- name: show_version
UPDATE document_versions
SET state = 'active', shown = landing, generation = landing_generation, worker_build = landing_build,
    landing = NULL, landing_build = NULL, landing_generation = NULL,
    pages = $2, chunks = chunks_stored, activated_at = now()
WHERE id = $1

-- name: activate_document
UPDATE documents SET active_version = $2, updated_at = now() WHERE id = $1

-- name: fail_version
UPDATE document_versions
SET landing = NULL, landing_build = NULL, landing_generation = NULL, chunks_stored = 0,
    state = CASE state WHEN 'active' THEN 'active' ELSE 'failed' END,
    error_class = CASE state WHEN 'active' THEN NULL ELSE $2::text END,
    error_reason = CASE state WHEN 'active' THEN NULL ELSE $3::text END,
    error_message = CASE state WHEN 'active' THEN NULL ELSE $4::text END
WHERE id = $1
