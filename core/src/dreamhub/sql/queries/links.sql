-- name: is_running
SELECT EXISTS (SELECT FROM ingest_runs WHERE uid = $1 AND finished_at IS NULL)

-- name: find_readable
SELECT w.version_id
FROM work_items w
JOIN document_versions v ON v.id = w.version_id
WHERE w.uid = $1 AND w.version_id = ANY ($2::text[])

-- name: find_writable
SELECT o.version_id
FROM object_outbox o
WHERE o.version_id = ANY ($1::text[]) AND NOT o.doomed
    AND NOT EXISTS (SELECT FROM document_versions v WHERE v.id = o.version_id)
