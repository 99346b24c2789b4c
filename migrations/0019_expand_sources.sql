-- Documents that come from systems upstream: what is known of each item there, and where the next reading starts.
--
-- A source is read again and again. An item's row says which revision was taken in last and as which document, so that
-- what has not changed is not fetched, and what is gone upstream can be deleted here. Rows are written in the transaction
-- that registers the document and queues its work: a reader that dies repeats nothing that has been committed.
--
-- What upstream calls an item may be an address or a subject: it is kept as a keyed hash only. Its revision and the
-- state of the reader lie encrypted.

ALTER TABLE dreamhub.documents DROP CONSTRAINT documents_source_check;
ALTER TABLE dreamhub.documents ADD CONSTRAINT documents_source_check
    CHECK (source IN ('upload', 'inline', 's3', 'web', 'mail', 'calendar', 'plugin'));

CREATE TABLE dreamhub.source_checkpoints (
    tenant_id text NOT NULL,
    source_key bytea NOT NULL CHECK (octet_length(source_key) = 16),
    kind text NOT NULL CHECK (kind IN ('s3', 'web', 'mail', 'calendar', 'plugin')),
    round bigint NOT NULL DEFAULT 1 CHECK (round > 0),
    state_ct bytea,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_key, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE dreamhub.source_checkpoints IS 'One row for each source upstream: where its next reading starts.';
COMMENT ON COLUMN dreamhub.source_checkpoints.source_key IS 'Keyed hash of what makes it the same source in another IngestJob.';
COMMENT ON COLUMN dreamhub.source_checkpoints.round IS
    'Counts complete readings. At the end of one, items that were last seen in an earlier round are gone upstream.';
COMMENT ON COLUMN dreamhub.source_checkpoints.state_ct IS 'The reader''s own state, encrypted. NULL: from the beginning.';

CREATE TABLE dreamhub.source_items (
    tenant_id text NOT NULL,
    source_key bytea NOT NULL CHECK (octet_length(source_key) = 16),
    item_key bytea NOT NULL CHECK (octet_length(item_key) = 16),
    revision_ct bytea NOT NULL,
    document_id text NOT NULL CHECK (document_id ~ '^doc_[0-9a-f]{32}$'),
    round bigint NOT NULL CHECK (round > 0),
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_key, item_key, tenant_id)
) PARTITION BY LIST (tenant_id);
CREATE INDEX ON dreamhub.source_items (document_id);
COMMENT ON TABLE dreamhub.source_items IS 'Items upstream that are documents here.';
COMMENT ON COLUMN dreamhub.source_items.item_key IS 'Keyed hash of what upstream calls the item.';
COMMENT ON COLUMN dreamhub.source_items.revision_ct IS 'What upstream said of its state when it was taken in, encrypted.';
COMMENT ON COLUMN dreamhub.source_items.round IS 'The round of the source in which it was last seen.';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['source_checkpoints', 'source_items'] LOOP
        EXECUTE format('ALTER TABLE dreamhub.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE dreamhub.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant ON dreamhub.%I '
            'USING (tenant_id = NULLIF(pg_catalog.current_setting(''app.tenant_id'', true), ''''))',
            name
        );
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY[
        'documents', 'document_versions', 'chunks', 'index_generations', 'term_counts', 'ingest_runs',
        'ingest_run_documents', 'object_outbox', 'rekey_runs', 'quota', 'token_uses', 'job_admissions',
        'work_items', 'run_workers', 'source_checkpoints', 'source_items'
    ];
