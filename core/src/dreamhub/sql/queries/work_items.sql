-- name: enqueue
-- Sizes of versions that exist are read here: whoever enqueues need not know them. The run's row is locked.
INSERT INTO work_items (uid, version_id, document_id, size, weight, position)
SELECT $1, n.version_id, n.document_id, size.bytes,
    $6 + coalesce(n.tokens, ceil(size.bytes * coalesce(($7::jsonb ->> v.media_type)::float8, $9::float8))::bigint),
    $8::bigint + row_number() OVER (ORDER BY n.place)
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) WITH ORDINALITY
    AS n (version_id, document_id, size, tokens, place)
LEFT JOIN document_versions v ON v.id = n.version_id
CROSS JOIN LATERAL (SELECT coalesce(v.size_bytes, n.size) AS bytes) AS size
WHERE NOT EXISTS (SELECT FROM work_items i WHERE i.uid = $1 AND i.version_id = n.version_id)
RETURNING weight

-- name: fetch_collected
-- Sizes of what a run has to do, by type; nothing before its source has been read to the end.
SELECT v.media_type, coalesce(sum(i.size), 0)::bigint AS bytes
FROM ingest_runs r
LEFT JOIN (work_items i JOIN document_versions v ON v.id = i.version_id) ON i.uid = r.uid AND i.state = 'Queued'
WHERE r.uid = $1 AND r.collected_at IS NOT NULL
GROUP BY v.media_type

-- name: begin_item
-- A worker that is still at it ($4) does not count as another one that was lost over it.
UPDATE work_items
SET deliveries = CASE WHEN $4 THEN greatest(deliveries, 1) WHEN $3 > stored THEN 1 ELSE deliveries + 1 END, stored = $3
WHERE uid = $1 AND version_id = $2 AND state = 'Queued'
RETURNING deliveries, weight

-- name: return_item
UPDATE work_items SET deliveries = greatest(deliveries - 1, 0)
WHERE uid = $1 AND version_id = $2 AND state = 'Queued'

-- name: count_attempt
UPDATE work_items SET attempts = attempts + 1, error_class = $3, error_reason = $4, error_message = $5
WHERE uid = $1 AND version_id = $2 AND state = 'Queued'
    AND EXISTS (SELECT FROM run_workers w WHERE w.uid = $1 AND w.worker = $6 AND w.attempt = $7)
RETURNING attempts

-- name: settle_item
-- Of two that settle one item, the later finds it settled (`open` is false); an overtaken worker counts nothing.
WITH item AS (
    UPDATE work_items
    SET state = $5, document_id = $6, error_class = $11, error_reason = $12, error_message = $13, settled_at = now()
    WHERE uid = $1 AND version_id = $4 AND state = 'Queued'
    RETURNING weight
), counted AS (
    UPDATE run_workers w
    SET done = w.done + ($5 <> 'Failed')::integer, skipped = w.skipped + ($5 = 'Skipped')::integer,
        failed = w.failed + ($5 = 'Failed')::integer, chunks = w.chunks + $8, pages = w.pages + $9,
        weight = w.weight + item.weight, report = coalesce($14::jsonb, w.report), updated_at = now()
    FROM item
    WHERE w.uid = $1 AND w.worker = $2 AND w.attempt = $3
    RETURNING w.attempt
), recorded AS (
    INSERT INTO ingest_run_documents (
        uid, document_id, version_id, outcome, chunks, pages, tokens, error_class, error_reason, error_message
    )
    SELECT $1, $6, $7, $5, $8, $9, $10, $11, $12, $13 FROM counted
    ON CONFLICT (uid, document_id, tenant_id) DO UPDATE
    SET version_id = excluded.version_id, outcome = excluded.outcome, chunks = excluded.chunks, pages = excluded.pages,
        tokens = excluded.tokens, error_class = excluded.error_class, error_reason = excluded.error_reason,
        error_message = excluded.error_message, finished_at = now()
)
SELECT EXISTS (SELECT FROM item) AS open, EXISTS (SELECT FROM counted) AS counted

-- name: skip_unchanged
-- What is searchable as it is. An item that somebody else is about to settle is left to them: who waits for none of the
-- rows cannot wait in a circle. The worker's row comes first: a later attempt begins before all of it, or after.
WITH worker AS (
    SELECT attempt FROM run_workers WHERE uid = $1 AND worker = $2 AND attempt = $3 FOR NO KEY UPDATE
), known AS (
    SELECT i.version_id
    FROM work_items i
    JOIN document_versions v ON v.id = i.version_id
    WHERE i.uid = $1 AND i.version_id = ANY ($4::text[]) AND i.state = 'Queued'
        AND v.state = 'active' AND v.generation = $5 AND EXISTS (SELECT FROM worker)
    FOR UPDATE OF i SKIP LOCKED
), items AS (
    UPDATE work_items i
    SET state = 'Skipped', error_class = NULL, error_reason = NULL, error_message = NULL, settled_at = now()
    FROM known
    WHERE i.uid = $1 AND i.version_id = known.version_id
    RETURNING i.version_id, i.document_id, i.weight
), counted AS (
    UPDATE run_workers w
    SET done = w.done + sums.count, skipped = w.skipped + sums.count, weight = w.weight + sums.weight,
        updated_at = now()
    FROM (SELECT count(*) AS count, coalesce(sum(weight), 0)::bigint AS weight FROM items) AS sums
    WHERE w.uid = $1 AND w.worker = $2 AND w.attempt = $3 AND sums.count > 0
), recorded AS (
    INSERT INTO ingest_run_documents (uid, document_id, version_id, outcome, chunks, pages, tokens)
    SELECT DISTINCT ON (document_id) $1, document_id, version_id, 'Skipped', 0, 0, 0 FROM items
    ON CONFLICT (uid, document_id, tenant_id) DO UPDATE
    SET version_id = excluded.version_id, outcome = excluded.outcome, chunks = 0, pages = 0, tokens = 0,
        error_class = NULL, error_reason = NULL, error_message = NULL, finished_at = now()
)
SELECT version_id FROM items

-- name: give_up_items
WITH items AS (
    UPDATE work_items
    SET state = 'Failed', error_class = $4, error_reason = $5, error_message = $6, settled_at = now()
    WHERE uid = $1 AND state = 'Queued'
    RETURNING document_id, version_id, weight
), recorded AS (
    INSERT INTO ingest_run_documents (
        uid, document_id, version_id, outcome, chunks, pages, tokens, error_class, error_reason, error_message
    )
    SELECT DISTINCT ON (document_id) $1, document_id, version_id, 'Failed', 0, 0, 0, $4, $5, $6 FROM items
    ON CONFLICT (uid, document_id, tenant_id) DO UPDATE
    SET version_id = excluded.version_id, outcome = excluded.outcome, chunks = 0, pages = 0, tokens = 0,
        error_class = excluded.error_class, error_reason = excluded.error_reason,
        error_message = excluded.error_message, finished_at = now()
)
UPDATE run_workers w
SET failed = w.failed + sums.count, weight = w.weight + sums.weight, updated_at = now()
FROM (SELECT count(*) AS count, coalesce(sum(weight), 0)::bigint AS weight FROM items) AS sums
WHERE w.uid = $1 AND w.worker = $2 AND w.attempt = $3
RETURNING sums.count

-- name: count_unchanged
UPDATE run_workers SET done = done + $4, skipped = skipped + $4, weight = weight + $5, updated_at = now()
WHERE uid = $1 AND worker = $2 AND attempt = $3
RETURNING attempt

-- name: list_open_items
SELECT version_id, document_id, position FROM work_items
WHERE uid = $1 AND state = 'Queued' AND position > $2
ORDER BY position
LIMIT $3

-- name: list_free_items
-- Without those that another worker of the run has claimed and that was heard of within $5 seconds: who claims them is
-- refused.
SELECT i.version_id, i.document_id, i.position FROM work_items i
WHERE i.uid = $1 AND i.state = 'Queued' AND i.position > $2
    AND NOT EXISTS (
        SELECT FROM document_versions v
        JOIN run_workers w ON w.uid = v.holder_run AND w.worker = v.holder_worker AND w.attempt = v.holder_attempt
        WHERE v.id = i.version_id AND v.landing IS NOT NULL AND v.holder_run = $1 AND v.holder_worker <> $4
            AND w.updated_at > now() - make_interval(secs => $5)
    )
ORDER BY i.position
LIMIT $3

-- name: fetch_open_items
SELECT version_id, document_id, position FROM work_items
WHERE uid = $1 AND state = 'Queued' AND version_id = ANY ($2::text[])

-- name: has_open_items
SELECT EXISTS (SELECT FROM work_items WHERE uid = $1 AND state = 'Queued')

-- name: fetch_errors
-- Of items that failed, and of those that will be tried again.
SELECT document_id, error_class, error_reason, error_message FROM work_items
WHERE uid = $1 AND error_reason IS NOT NULL
ORDER BY position
LIMIT $2
