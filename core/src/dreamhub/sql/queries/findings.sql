-- name: record_findings
-- Once each: what is told again changes nothing. A document that came by this run and was deleted after it is Deleted.
WITH recorded AS (
    INSERT INTO ingest_run_documents (
        uid, document_id, version_id, outcome, finding, name_ct, chunks, pages, tokens,
        error_class, error_reason, error_message
    )
    SELECT $1, f.document_id, f.version_id, 'Skipped', f.finding, f.name_ct, 0, 0, 0, f.class, f.reason, f.message
    FROM unnest($4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::text[], $10::text[])
        AS f (document_id, version_id, finding, name_ct, class, reason, message)
    ON CONFLICT (uid, document_id, tenant_id) DO UPDATE
    SET finding = excluded.finding, name_ct = excluded.name_ct, finished_at = now()
    WHERE excluded.finding = 'Deleted' AND ingest_run_documents.finding IS DISTINCT FROM 'Deleted'
    RETURNING finding
)
UPDATE run_workers
SET unread = unread + (SELECT count(*) FROM recorded WHERE finding = 'Unread'),
    deleted = deleted + (SELECT count(*) FROM recorded WHERE finding = 'Deleted'), updated_at = now()
WHERE uid = $1 AND worker = $2 AND attempt = $3
RETURNING attempt

-- name: name_document
UPDATE ingest_run_documents SET name_ct = $3 WHERE uid = $1 AND document_id = $2
