-- What jobs will use, for the operator.

-- name: reserve_tokens
SELECT dreamhub.reserve_tokens($1, $2, $3)

-- name: fetch_ratios
-- The latest documents only: their kind changes with time.
SELECT v.media_type, sum(v.size_bytes)::bigint AS bytes, sum(r.tokens)::bigint AS tokens
FROM (
    SELECT version_id, tokens FROM {schema}.ingest_run_documents
    WHERE outcome = 'Done' AND tokens > 0
    ORDER BY finished_at DESC
    LIMIT 500
) r
JOIN {schema}.document_versions v ON v.id = r.version_id
GROUP BY v.media_type
