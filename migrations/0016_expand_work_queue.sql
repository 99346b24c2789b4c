-- The work of a run: its items, and the workers that share them.
--
-- `work_items` is the truth about what a run has to do; the stream in Redis only hands items out and can be lost. An item
-- is settled once: whoever finds it no longer Queued writes nothing. `run_workers` has a row for each pod index of a run.
-- Its attempt fences: a later start of the same index makes every write of an earlier one fail. Its counters move in the
-- transactions that settle items, so that their sum is what was done, whatever was killed.

CREATE TABLE dreamhub.work_items (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    version_id text NOT NULL,
    document_id text NOT NULL,
    position bigint NOT NULL,
    state text NOT NULL DEFAULT 'Queued' CHECK (state IN ('Queued', 'Done', 'Skipped', 'Failed')),
    size bigint NOT NULL CHECK (size >= 0),
    weight bigint NOT NULL CHECK (weight >= 0),
    attempts integer NOT NULL DEFAULT 0,
    deliveries integer NOT NULL DEFAULT 0,
    stored integer NOT NULL DEFAULT 0,
    error_class text,
    error_reason text,
    error_message text,
    replayed_by text,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (uid, version_id, tenant_id)
) PARTITION BY LIST (tenant_id);
CREATE INDEX ON dreamhub.work_items (uid, position) WHERE state = 'Queued';
CREATE INDEX ON dreamhub.work_items (settled_at, uid, version_id) WHERE state = 'Failed';
CREATE INDEX ON dreamhub.work_items (uid, position) WHERE error_reason IS NOT NULL;
COMMENT ON TABLE dreamhub.work_items IS 'What runs have to do. A Failed one is a dead letter until it is replayed or purged.';
COMMENT ON COLUMN dreamhub.work_items.uid IS 'UID of the IngestJob.';
COMMENT ON COLUMN dreamhub.work_items.position IS 'Order within the run.';
COMMENT ON COLUMN dreamhub.work_items.size IS 'Bytes of the original.';
COMMENT ON COLUMN dreamhub.work_items.weight IS
    'Its share in the progress of the run: estimated tokens, and a constant for each.';
COMMENT ON COLUMN dreamhub.work_items.attempts IS 'How often a passing error was met.';
COMMENT ON COLUMN dreamhub.work_items.deliveries IS
    'How many workers in a row began it, stored nothing and were not heard of again.';
COMMENT ON COLUMN dreamhub.work_items.stored IS 'Checkpoint of its landing when the last worker began it.';
COMMENT ON COLUMN dreamhub.work_items.replayed_by IS 'Name of the IngestJob that takes up a dead letter.';

CREATE TABLE dreamhub.run_workers (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    worker integer NOT NULL CHECK (worker >= 0),
    attempt integer NOT NULL DEFAULT 1,
    holder text NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    chunks bigint NOT NULL DEFAULT 0,
    pages bigint NOT NULL DEFAULT 0,
    weight bigint NOT NULL DEFAULT 0,
    report jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (uid, worker, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON COLUMN dreamhub.run_workers.worker IS 'Completion index of the pod.';
COMMENT ON COLUMN dreamhub.run_workers.attempt IS 'Grows with each start; a write of an older attempt is refused.';
COMMENT ON COLUMN dreamhub.run_workers.done IS 'Items that it settled, in all attempts; skipped ones are among them.';
COMMENT ON COLUMN dreamhub.run_workers.weight IS 'Of the items that it settled.';
COMMENT ON COLUMN dreamhub.run_workers.report IS 'What it does now: stage, figures, rates; never content.';
COMMENT ON COLUMN dreamhub.run_workers.updated_at IS 'Its heartbeat: what it holds is its own while it is heard of.';

ALTER TABLE dreamhub.ingest_runs
    ADD COLUMN total bigint NOT NULL DEFAULT 0,
    ADD COLUMN weight bigint NOT NULL DEFAULT 0,
    ADD COLUMN collected_at timestamptz,
    ADD COLUMN reported_at timestamptz,
    ADD COLUMN refills integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN dreamhub.ingest_runs.attempt IS 'Of its first worker, for builds that know no other.';
COMMENT ON COLUMN dreamhub.ingest_runs.total IS 'Items that it has, as far as they are known.';
COMMENT ON COLUMN dreamhub.ingest_runs.weight IS 'Of all its items together.';
COMMENT ON COLUMN dreamhub.ingest_runs.collected_at IS 'When its source was read to the end: no item comes after that.';
COMMENT ON COLUMN dreamhub.ingest_runs.reported_at IS 'When `progress` was last summed up, by whichever worker came first.';
COMMENT ON COLUMN dreamhub.ingest_runs.refills IS 'How often its stream in Redis lacked items and was filled up again.';

ALTER TABLE dreamhub.document_versions ADD COLUMN holder_worker integer;
COMMENT ON COLUMN dreamhub.document_versions.holder_worker IS 'Which worker of holder_run; NULL in claims of earlier builds.';

CREATE OR REPLACE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY[
        'documents', 'document_versions', 'chunks', 'index_generations', 'term_counts', 'ingest_runs',
        'ingest_run_documents', 'object_outbox', 'rekey_runs', 'quota', 'token_uses', 'job_admissions', 'work_items',
        'run_workers'
    ];

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['work_items', 'run_workers'] LOOP
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

CREATE OR REPLACE FUNCTION dreamhub.provision_partition(tenant text, name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := 't_' || tenant;
    foreign_keys text;
BEGIN
    IF to_regclass(format('%I.%I', schema_name, name)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %1$I.%2$I (LIKE dreamhub.%2$I INCLUDING ALL)', schema_name, name);
    EXECUTE format('ALTER TABLE %I.%I ALTER COLUMN tenant_id SET DEFAULT %L', schema_name, name, tenant);
    EXECUTE format(
        'ALTER TABLE dreamhub.%2$I ATTACH PARTITION %1$I.%2$I FOR VALUES IN (%3$L)', schema_name, name, tenant
    );
    foreign_keys := CASE
        WHEN name = 'document_versions' THEN
            'ALTER TABLE %1$I.%2$I ADD CONSTRAINT document_versions_document_fkey '
            'FOREIGN KEY (document_id, tenant_id) REFERENCES %1$I.documents (id, tenant_id)'
        WHEN name IN ('ingest_run_documents', 'work_items', 'run_workers') THEN
            'ALTER TABLE %1$I.%2$I ADD CONSTRAINT %3$I '
            'FOREIGN KEY (uid, tenant_id) REFERENCES %1$I.ingest_runs (uid, tenant_id) ON DELETE CASCADE'
    END;
    IF foreign_keys IS NOT NULL THEN
        EXECUTE format(foreign_keys, schema_name, name, name || '_run_fkey');
    END IF;
END
$$;
