-- name: count_outdated
SELECT
    (SELECT count(*) FROM documents WHERE substring(meta_ct FROM 1 FOR $2) <> $1)
    + (SELECT count(*) FROM chunks WHERE substring(body_ct FROM 1 FOR $2) <> $1)
    + (SELECT count(*) FROM source_checkpoints WHERE substring(state_ct FROM 1 FOR $2) <> $1)
    + (SELECT count(*) FROM source_items WHERE substring(revision_ct FROM 1 FOR $2) <> $1)
    + (SELECT count(*) FROM ingest_run_documents WHERE substring(name_ct FROM 1 FOR $2) <> $1)

-- name: begin_rekey
-- The first count stays: progress is told against it.
INSERT INTO rekey_runs (key_id, total) VALUES ($1, $2)
ON CONFLICT (key_id, tenant_id) DO UPDATE SET updated_at = now(), finished_at = NULL

-- name: advance_rekey
UPDATE rekey_runs SET done = done + $2, total = greatest(total, done + $2), updated_at = now() WHERE key_id = $1

-- name: finish_rekey
UPDATE rekey_runs SET total = done, updated_at = now(), finished_at = now() WHERE key_id = $1

-- name: lock_documents
-- Rows that somebody else holds are left to the next pass: who waits for nobody can be in no deadlock.
SELECT id, meta_ct
FROM documents
WHERE id > $1 AND substring(meta_ct FROM 1 FOR $3) <> $2
ORDER BY id
LIMIT $4
FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_chunks
SELECT landing, ordinal, body_ct
FROM chunks
WHERE (landing, ordinal) > ($1, $2) AND substring(body_ct FROM 1 FOR $4) <> $3
ORDER BY landing, ordinal
LIMIT $5
FOR NO KEY UPDATE SKIP LOCKED

-- name: update_documents
UPDATE documents d SET meta_ct = fresh.sealed
FROM unnest($1::text[], $2::bytea[]) AS fresh (id, sealed)
WHERE d.id = fresh.id

-- name: update_chunks
UPDATE chunks c SET body_ct = fresh.sealed
FROM unnest($1::uuid[], $2::integer[], $3::bytea[]) AS fresh (landing, ordinal, sealed)
WHERE c.landing = fresh.landing AND c.ordinal = fresh.ordinal

-- name: lock_checkpoints
SELECT source_key, state_ct
FROM source_checkpoints
WHERE source_key > $1 AND substring(state_ct FROM 1 FOR $3) <> $2
ORDER BY source_key
LIMIT $4
FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_items
SELECT source_key, item_key, revision_ct
FROM source_items
WHERE (source_key, item_key) > ($1, $2) AND substring(revision_ct FROM 1 FOR $4) <> $3
ORDER BY source_key, item_key
LIMIT $5
FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_names
SELECT uid, document_id, name_ct
FROM ingest_run_documents
WHERE (uid, document_id) > ($1, $2) AND substring(name_ct FROM 1 FOR $4) <> $3
ORDER BY uid, document_id
LIMIT $5
FOR NO KEY UPDATE SKIP LOCKED

-- name: update_checkpoints
UPDATE source_checkpoints s SET state_ct = fresh.sealed
FROM unnest($1::bytea[], $2::bytea[]) AS fresh (source_key, sealed)
WHERE s.source_key = fresh.source_key

-- name: update_items
UPDATE source_items i SET revision_ct = fresh.sealed
FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS fresh (source_key, item_key, sealed)
WHERE i.source_key = fresh.source_key AND i.item_key = fresh.item_key

-- name: update_names
UPDATE ingest_run_documents d SET name_ct = fresh.sealed
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS fresh (uid, document_id, sealed)
WHERE d.uid = fresh.uid AND d.document_id = fresh.document_id
