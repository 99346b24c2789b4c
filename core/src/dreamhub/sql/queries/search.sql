-- name: fetch_statistics
-- The active generation and, of the query's terms, how many chunks hold each. One row, or none before any ingestion.
SELECT
    g.generation, g.model, g.dimensions, g.chunks,
    ARRAY(SELECT t.term FROM term_counts t WHERE t.term = ANY ($1::integer[]) ORDER BY t.term) AS terms,
    ARRAY(SELECT t.chunks FROM term_counts t WHERE t.term = ANY ($1::integer[]) ORDER BY t.term) AS counts,
    to_regclass('chunks_vectors_' || g.generation) IS NOT NULL AS indexed
FROM index_generations g
WHERE g.active

-- name: search_candidates
-- The nearest by vector and the best by BM25, each with both scores. Landings in flight are left out by id, so a
-- document appears at once and no join stands inside the candidate scans. Unless $6, the filter folds away in planning.
-- The CASE keeps the planner from guessing how many chunks that leaves: of a tenant with one large document it expects
-- none, and then takes no vector index.
-- $1 embedding, $2 query's BM25 vector, $3 rarest terms, $4 candidates of each kind, $5 generation, $6 if filtered,
-- $7 tags, $8 media types, $9 document ids, $10 created from, $11 created until.
-- {vector} is the column, or the column as the tenant's vector index has it.
WITH semantic AS (
    SELECT landing, ordinal
    FROM chunks
    WHERE generation = $5
        AND NOT CASE WHEN landing = ANY (ARRAY(
            SELECT landing FROM document_versions WHERE landing IS NOT NULL
        )) THEN true ELSE false END
        AND (NOT $6 OR landing = ANY (ARRAY(
            SELECT v.shown
            FROM documents d
            JOIN document_versions v ON v.id = d.active_version
            WHERE ($7::bytea[] IS NULL OR (cardinality($7) > 0 AND d.tag_keys @> $7))
                AND ($8::text[] IS NULL OR v.media_type = ANY ($8))
                AND ($9::text[] IS NULL OR d.id = ANY ($9))
                AND ($10::timestamptz IS NULL OR d.created_at >= $10)
                AND ($11::timestamptz IS NULL OR d.created_at < $11)
        )))
    ORDER BY {vector} <=> $1::{type}
    LIMIT $4
), lexical AS (
    SELECT landing, ordinal
    FROM chunks
    WHERE terms && $3::integer[]
        AND generation = $5
        AND landing <> ALL (ARRAY(SELECT landing FROM document_versions WHERE landing IS NOT NULL))
        AND (NOT $6 OR landing = ANY (ARRAY(
            SELECT v.shown
            FROM documents d
            JOIN document_versions v ON v.id = d.active_version
            WHERE ($7::bytea[] IS NULL OR (cardinality($7) > 0 AND d.tag_keys @> $7))
                AND ($8::text[] IS NULL OR v.media_type = ANY ($8))
                AND ($9::text[] IS NULL OR d.id = ANY ($9))
                AND ($10::timestamptz IS NULL OR d.created_at >= $10)
                AND ($11::timestamptz IS NULL OR d.created_at < $11)
        )))
    ORDER BY bm25 <#> $2::sparsevec
    LIMIT $4
), candidates AS (
    SELECT landing, ordinal FROM semantic
    UNION
    SELECT landing, ordinal FROM lexical
)
SELECT c.landing, c.ordinal, -(c.bm25 <#> $2::sparsevec) AS lexical, 1 - (c.embedding <=> $1::halfvec) AS semantic
FROM candidates
JOIN chunks c USING (landing, ordinal)

-- name: fetch_hits
-- Chunks that an activation deleted since the candidates were taken are absent.
SELECT
    c.landing, c.ordinal, c.document_id, c.version_id, c.page, c.unit, c.char_start, c.char_end, c.body_ct, d.meta_ct
FROM unnest($1::uuid[], $2::integer[]) AS wanted (landing, ordinal)
JOIN chunks c USING (landing, ordinal)
JOIN documents d ON d.id = c.document_id
