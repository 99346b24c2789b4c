-- Unqualified names on purpose: the current role decides the schema, and with it the tenant.

-- name: fetch_version_owner
SELECT document_id FROM document_versions WHERE id = $1

-- name: create_document
INSERT INTO documents (id, meta_ct, name_key, tag_keys, source) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name_key, tenant_id) DO NOTHING
RETURNING id

-- name: lock_document_by_name
SELECT id, meta_ct FROM documents WHERE name_key = $1 FOR UPDATE

-- name: fetch_latest_version
SELECT id, number, content_key FROM document_versions WHERE document_id = $1 ORDER BY number DESC LIMIT 1

-- name: create_version
INSERT INTO document_versions (id, document_id, number, media_type, content_key, size_bytes)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: update_document
UPDATE documents SET meta_ct = $2, tag_keys = $3, updated_at = now() WHERE id = $1

-- name: touch_document
UPDATE documents SET updated_at = now() WHERE id = $1

-- name: fetch_document
SELECT
    d.id AS doc_id, d.meta_ct, d.source, d.active_version, d.created_at AS doc_created_at, d.updated_at,
    v.id, v.document_id, v.number, v.media_type, v.state, v.size_bytes, v.pages, v.chunks, v.chunks_stored,
    v.worker_build, v.generation, v.error_class, v.error_reason, v.error_message, v.created_at, v.activated_at
FROM documents d
CROSS JOIN LATERAL (SELECT * FROM document_versions WHERE document_id = d.id ORDER BY number DESC LIMIT 1) v
WHERE d.id = $1

-- name: fetch_metas
SELECT id, meta_ct FROM documents WHERE id = ANY ($1::text[])

-- name: list_documents
SELECT
    d.id AS doc_id, d.meta_ct, d.source, d.active_version, d.created_at AS doc_created_at, d.updated_at,
    v.id, v.document_id, v.number, v.media_type, v.state, v.size_bytes, v.pages, v.chunks, v.chunks_stored,
    v.worker_build, v.generation, v.error_class, v.error_reason, v.error_message, v.created_at, v.activated_at
FROM documents d
CROSS JOIN LATERAL (SELECT * FROM document_versions WHERE document_id = d.id ORDER BY number DESC LIMIT 1) v
WHERE $1::text IS NULL OR d.id < $1
ORDER BY d.id DESC
LIMIT $2

-- name: list_versions
SELECT
    id, document_id, number, media_type, state, size_bytes, pages, chunks, chunks_stored, worker_build, generation,
    error_class, error_reason, error_message, created_at, activated_at
FROM document_versions
WHERE document_id = $1
ORDER BY number DESC

-- name: fetch_shown
SELECT v.shown FROM documents d LEFT JOIN document_versions v ON v.id = d.active_version WHERE d.id = $1

-- name: list_chunks
SELECT landing, ordinal, page, unit, char_start, char_end, tokens, body_ct, worker_build, generation, strategy
FROM chunks
WHERE landing = $1 AND ordinal > $2
ORDER BY ordinal
LIMIT $3

-- name: lock_document
SELECT id FROM documents WHERE id = $1 FOR UPDATE

-- name: lock_versions
-- After the document, always: activations take the same order.
SELECT id, landing, shown, generation, chunks FROM document_versions WHERE document_id = $1 ORDER BY id FOR UPDATE

-- name: delete_chunks
DELETE FROM chunks WHERE landing = ANY ($1::uuid[])

-- name: delete_versions
DELETE FROM document_versions WHERE document_id = $1 RETURNING id

-- name: forget_items
-- A source that still has it brings it again.
DELETE FROM source_items WHERE document_id = $1

-- name: delete_document
DELETE FROM documents WHERE id = $1
