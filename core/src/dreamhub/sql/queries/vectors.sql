-- Vector indexes and statistics of tenants, for the operator.

-- name: fetch_vector_indexes
SELECT tenant, generation, model, dimensions, chunks, indexed, analyzed FROM dreamhub.fetch_vector_indexes($1::text[])

-- name: build_vector_index
SELECT dreamhub.build_vector_index($1, $2)

-- name: drop_vector_indexes
SELECT dreamhub.drop_vector_indexes($1, NULL)

-- name: refresh_statistics
SELECT dreamhub.refresh_statistics($1)
