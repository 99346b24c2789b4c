-- Objects that may be nobody's (see dreamhub.sql.outbox). Unqualified names on purpose: the current role is the tenant.

-- name: announce_object
INSERT INTO object_outbox (version_id, doomed, due_at) VALUES ($1, false, now() + make_interval(secs => $2))
ON CONFLICT (version_id, tenant_id) DO UPDATE SET due_at = excluded.due_at WHERE NOT object_outbox.doomed
RETURNING version_id

-- name: take_announcement
-- Waits for a sweeper or another registration that holds the row.
DELETE FROM object_outbox WHERE version_id = $1 AND NOT doomed RETURNING version_id

-- name: withdraw_object
UPDATE object_outbox SET due_at = now() WHERE version_id = $1 AND NOT doomed

-- name: doom_objects
INSERT INTO object_outbox (version_id, doomed, duplicate_of, due_at)
SELECT unnest($1::text[]), true, $2, now()
ON CONFLICT (version_id, tenant_id) DO UPDATE
SET doomed = true, duplicate_of = excluded.duplicate_of, due_at = excluded.due_at

-- name: take_due_objects
-- Rows that a registration holds are skipped: it takes them away. What is taken is due again if this sweeper dies.
UPDATE object_outbox o SET doomed = true, due_at = now() + make_interval(secs => $2)
FROM (
    SELECT version_id FROM object_outbox WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
) due
WHERE o.version_id = due.version_id
RETURNING o.version_id,
    EXISTS (SELECT FROM document_versions v WHERE v.id = o.version_id) AS stands,
    (SELECT v.id FROM document_versions v WHERE v.id = o.duplicate_of) AS duplicate_of

-- name: settle_objects
DELETE FROM object_outbox WHERE version_id = ANY ($1::text[]) AND doomed

-- name: find_absent_versions
SELECT id FROM unnest($1::text[]) AS wanted (id)
WHERE NOT EXISTS (SELECT FROM document_versions v WHERE v.id = wanted.id)
