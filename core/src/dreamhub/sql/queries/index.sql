-- What an index knows of itself: its active generation and the document frequencies.

-- name: fetch_active_generation
SELECT
    generation, model, dimensions, chunks,
    to_regclass('chunks_vectors_' || generation) IS NOT NULL AS indexed
FROM index_generations
WHERE active

-- name: lock_active_generation
SELECT generation, model, dimensions, chunks FROM index_generations WHERE active FOR UPDATE

-- name: found_generation
INSERT INTO index_generations (generation, model, dimensions, chunker, active) VALUES ($1, $2, $3, $4, true)
ON CONFLICT DO NOTHING

-- name: retire_generation
UPDATE index_generations SET active = false WHERE generation = $1

-- name: count_chunks
UPDATE index_generations SET chunks = chunks + $2 WHERE generation = $1

-- name: count_shown_chunks
-- Nothing when the generation was retired meanwhile: the row lock decides between the two.
UPDATE index_generations SET chunks = chunks + $2 WHERE generation = $1 AND active RETURNING generation

-- name: count_terms
-- Chunks of the landing $1 appear, those of the landings $2 go. In order of term, so that two activations that meet
-- lock the rows in one order. Each side is counted by itself: many terms become few before they meet.
INSERT INTO term_counts AS t (term, chunks)
SELECT term, sum(n)
FROM (
    SELECT unnest(terms) AS term, count(*) AS n FROM chunks WHERE landing = $1 GROUP BY 1
    UNION ALL
    SELECT unnest(terms) AS term, -count(*) AS n FROM chunks WHERE landing = ANY ($2::uuid[]) GROUP BY 1
) AS changes
GROUP BY term
HAVING sum(n) <> 0
ORDER BY term
ON CONFLICT (term, tenant_id) DO UPDATE SET chunks = t.chunks + excluded.chunks
