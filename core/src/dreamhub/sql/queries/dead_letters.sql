-- name: list_dead_letters
SELECT
    i.uid, r.job, i.document_id, i.version_id, i.error_class, i.error_reason, i.error_message, i.attempts, i.settled_at,
    d.name_ct
FROM work_items i
JOIN ingest_runs r ON r.uid = i.uid
LEFT JOIN ingest_run_documents d ON d.uid = i.uid AND d.document_id = i.document_id
WHERE i.state = 'Failed' AND i.replayed_by IS NULL AND ($1::text IS NULL OR r.job = $1)
    AND ($2::timestamptz IS NULL OR (i.settled_at, i.uid, i.version_id) > ($2, $3, $4))
ORDER BY i.settled_at, i.uid, i.version_id
LIMIT $5

-- name: choose_dead_letters
-- Those of which there is a document still.
SELECT i.uid, i.version_id, i.document_id
FROM work_items i
JOIN ingest_runs r ON r.uid = i.uid
JOIN documents d ON d.id = i.document_id
WHERE i.state = 'Failed' AND i.replayed_by IS NULL AND ($1::text IS NULL OR r.job = $1)
    AND ($2::text[] IS NULL OR i.version_id = ANY ($2))
ORDER BY i.settled_at, i.uid, i.version_id
LIMIT $3

-- name: mark_replayed
UPDATE work_items SET replayed_by = $1
FROM unnest($2::text[], $3::text[]) AS chosen (uid, version_id)
WHERE work_items.uid = chosen.uid AND work_items.version_id = chosen.version_id

-- name: purge_dead_letters
DELETE FROM work_items i USING ingest_runs r
WHERE r.uid = i.uid AND r.finished_at IS NOT NULL AND i.state = 'Failed'
    AND ($1::text IS NULL OR r.job = $1) AND ($2::text[] IS NULL OR i.version_id = ANY ($2))
RETURNING i.replayed_by IS NULL AS listed

-- name: find_unanswered
-- IngestJobs that were to take up a letter of which they have recorded no outcome.
SELECT DISTINCT i.replayed_by
FROM work_items i
WHERE i.state = 'Failed' AND i.replayed_by IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM ingest_runs r
        JOIN ingest_run_documents d ON d.uid = r.uid
        WHERE r.job = i.replayed_by AND d.document_id = i.document_id
    )

-- name: reopen
UPDATE work_items i SET replayed_by = NULL
WHERE i.state = 'Failed' AND i.replayed_by = ANY ($1::text[])
    AND NOT EXISTS (
        SELECT FROM ingest_runs r
        JOIN ingest_run_documents d ON d.uid = r.uid
        WHERE r.job = i.replayed_by AND d.document_id = i.document_id
    )
