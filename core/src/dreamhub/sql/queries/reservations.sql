-- What jobs will use, for the operator.

-- name: reserve_tokens
SELECT dreamhub.reserve_tokens($1, $2, $3)

-- name: fetch_ratios
-- The latest documents only: their kind changes with time. Of the kinds those that count most, and no number or text
-- beyond any of ours: tenants' logins may write all of it.
SELECT
    left(v.media_type, 200) AS media_type,
    least(sum(v.size_bytes), 2 ^ 53)::bigint AS bytes,
    least(sum(r.tokens), 2 ^ 53)::bigint AS tokens
FROM (
    SELECT version_id, tokens FROM {schema}.ingest_run_documents
    WHERE outcome = 'Done' AND tokens > 0
    ORDER BY finished_at DESC
    LIMIT 500
) r
JOIN {schema}.document_versions v ON v.id = r.version_id
GROUP BY left(v.media_type, 200)
ORDER BY bytes DESC
LIMIT 50
