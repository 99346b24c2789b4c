-- name: open_source
-- Made at the first reading; a later one finds it.
INSERT INTO source_checkpoints (source_key, kind) VALUES ($1, $2)
ON CONFLICT (source_key, tenant_id) DO NOTHING

-- name: fetch_source
SELECT round, state_ct FROM source_checkpoints WHERE source_key = $1

-- name: store_checkpoint
UPDATE source_checkpoints SET state_ct = $2, updated_at = now() WHERE source_key = $1

-- name: end_round
-- Once: a reader that comes later to the same end changes nothing.
UPDATE source_checkpoints SET round = round + 1, updated_at = now() WHERE source_key = $1 AND round = $2

-- name: fetch_item
SELECT i.revision_ct, i.document_id, v.id AS version_id, v.state, v.error_class, v.error_reason, v.error_message,
    v.size_bytes,
    i.seen_at >= (SELECT started_at FROM ingest_runs WHERE uid = $3) AS told
FROM source_items i
CROSS JOIN LATERAL (
    SELECT id, state, error_class, error_reason, error_message, size_bytes FROM document_versions
    WHERE document_id = i.document_id ORDER BY number DESC LIMIT 1
) v
WHERE i.source_key = $1 AND i.item_key = $2

-- name: store_item
INSERT INTO source_items (source_key, item_key, revision_ct, document_id, round) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (source_key, item_key, tenant_id) DO UPDATE SET
    revision_ct = EXCLUDED.revision_ct,
    document_id = EXCLUDED.document_id,
    round = greatest(source_items.round, EXCLUDED.round),
    seen_at = now()

-- name: see_items
UPDATE source_items SET round = $3, seen_at = now()
WHERE source_key = $1 AND item_key = ANY ($2::bytea[])
    AND (round < $3 OR seen_at < (SELECT started_at FROM ingest_runs WHERE uid = $4))

-- name: find_untold
SELECT item_key, document_id FROM source_items
WHERE source_key = $1 AND round < $2 AND item_key > $3
ORDER BY item_key
LIMIT $4

-- name: forget_item
DELETE FROM source_items WHERE source_key = $1 AND item_key = $2
