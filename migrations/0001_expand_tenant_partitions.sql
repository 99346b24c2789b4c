-- The tenants' tables. Parents live here; each tenant's partitions carry the same names in the schema `t_<tenant>`,
-- and only the role of that name has grants on them. Nobody but the owner has a grant on a parent; should one ever be
-- given, forced row security is the second wall.
--
-- Keys are composite with `tenant_id`, because unique and foreign keys see past row security. The id comes first, so
-- that the key serves look-ups inside a partition, where the tenant is the table. Foreign keys stand on the partitions
-- (see dreamhub.provision_partition): one between parents would be checked through all partitions and lock them at
-- every detach.

CREATE TABLE dreamhub.documents (
    tenant_id text NOT NULL,
    id text NOT NULL,
    meta_ct bytea NOT NULL,
    name_key bytea NOT NULL,
    tag_keys bytea[] NOT NULL,
    source text NOT NULL CHECK (source IN ('upload', 'inline')),
    active_version text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, tenant_id),
    UNIQUE (name_key, tenant_id)
) PARTITION BY LIST (tenant_id);
CREATE INDEX ON dreamhub.documents USING gin (tag_keys);
COMMENT ON COLUMN dreamhub.documents.meta_ct IS 'Name and tags, encrypted; the document id is the associated data.';
COMMENT ON COLUMN dreamhub.documents.name_key IS 'Keyed hash of the name: the same name is the same document.';
COMMENT ON COLUMN dreamhub.documents.tag_keys IS 'Keyed hashes of the tags, for filters.';

CREATE TABLE dreamhub.document_versions (
    tenant_id text NOT NULL,
    id text NOT NULL,
    document_id text NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    media_type text NOT NULL,
    content_key bytea NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    state text NOT NULL DEFAULT 'uploaded' CHECK (state IN ('uploaded', 'landing', 'active', 'failed')),
    fence bigint NOT NULL DEFAULT 0,
    holder text,
    landing uuid,
    landing_build text,
    landing_generation integer,
    chunks_stored integer NOT NULL DEFAULT 0,
    shown uuid,
    generation integer,
    worker_build text,
    pages integer,
    chunks integer NOT NULL DEFAULT 0,
    error_class text,
    error_reason text,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    PRIMARY KEY (id, tenant_id),
    UNIQUE (document_id, number, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON COLUMN dreamhub.document_versions.content_key IS 'Keyed hash of the content''s SHA-256.';
COMMENT ON COLUMN dreamhub.document_versions.fence IS 'Grows with each claim; a write with an older one is refused.';
COMMENT ON COLUMN dreamhub.document_versions.landing IS 'The set of chunks being written; readers leave it out.';
COMMENT ON COLUMN dreamhub.document_versions.chunks_stored IS 'Checkpoint of the landing: the next ordinal.';
COMMENT ON COLUMN dreamhub.document_versions.shown IS 'The set of chunks that readers see.';
-- What searches leave out: nearly always empty, so the search reads an empty index.
CREATE INDEX ON dreamhub.document_versions (landing) WHERE landing IS NOT NULL;

-- Columns in this order on purpose: what has a fixed width, then the vectors. A scan unpacks each row only up to the
-- vector that it compares, which halves the time of an exact search.
CREATE TABLE dreamhub.chunks (
    landing uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ordinal integer NOT NULL,
    generation integer NOT NULL,
    char_start integer NOT NULL,
    char_end integer NOT NULL,
    tokens integer NOT NULL,
    embedding public.halfvec NOT NULL,
    bm25 public.sparsevec NOT NULL,
    tenant_id text NOT NULL,
    document_id text NOT NULL,
    version_id text NOT NULL,
    worker_build text NOT NULL,
    strategy text NOT NULL,
    terms integer[] NOT NULL,
    body_ct bytea NOT NULL,
    page integer,
    PRIMARY KEY (landing, ordinal, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE dreamhub.chunks IS
    'No foreign keys: a batch locks its version row, which is checked once instead of once a row.';
COMMENT ON COLUMN dreamhub.chunks.body_ct IS
    'Text, title and heading path, encrypted; landing and ordinal are the associated data.';
COMMENT ON COLUMN dreamhub.chunks.terms IS 'Keyed hashes of the words.';
COMMENT ON COLUMN dreamhub.chunks.bm25 IS 'The term-frequency part of BM25 at the same hashes.';
-- Scans compare vectors: they stay in the row. What scans skip goes beside it, and ciphertext does not compress.
ALTER TABLE dreamhub.chunks
    ALTER COLUMN body_ct SET STORAGE EXTERNAL,
    ALTER COLUMN terms SET STORAGE EXTERNAL,
    ALTER COLUMN bm25 SET STORAGE MAIN,
    ALTER COLUMN embedding SET STORAGE MAIN;
-- The pending list is read by every search until it is merged, and merging it costs writers the more, the shorter it is:
-- 1 MB is about 400 chunks. With PostgreSQL's 4 MB the planner turned away from the index for a tenant of 4,000 chunks.
CREATE INDEX ON dreamhub.chunks USING gin (terms) WITH (gin_pending_list_limit = 1024);

CREATE TABLE dreamhub.index_generations (
    tenant_id text NOT NULL,
    generation integer NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions > 0),
    chunker text NOT NULL,
    active boolean NOT NULL,
    chunks bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (generation, tenant_id)
) PARTITION BY LIST (tenant_id);
CREATE UNIQUE INDEX ON dreamhub.index_generations (tenant_id) WHERE active;
COMMENT ON COLUMN dreamhub.index_generations.chunks IS
    'Visible chunks; moved in the transactions that show or delete them.';

-- Document frequencies, exact and by key. The planner's own statistics (most_common_elems) would need ANALYZE, which a
-- tenant's role may not run, keep a thousand terms, and cost a text conversion for each search.
CREATE TABLE dreamhub.term_counts (
    tenant_id text NOT NULL,
    term integer NOT NULL,
    chunks integer NOT NULL,
    PRIMARY KEY (term, tenant_id)
) PARTITION BY LIST (tenant_id);

CREATE TABLE dreamhub.ingest_runs (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    job text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    holder text NOT NULL,
    worker_build text NOT NULL,
    progress jsonb NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (uid, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON COLUMN dreamhub.ingest_runs.attempt IS 'Grows with each start; a write of an older attempt is refused.';
COMMENT ON COLUMN dreamhub.ingest_runs.progress IS 'Counts, ids and reasons; never content.';

CREATE TABLE dreamhub.ingest_run_documents (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    document_id text NOT NULL,
    version_id text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('Done', 'Skipped', 'Failed')),
    chunks integer NOT NULL,
    pages integer NOT NULL,
    tokens bigint NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (uid, document_id, tenant_id)
) PARTITION BY LIST (tenant_id);

-- Every parent: row security forced, closed when no tenant is set.
CREATE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY[
        'documents', 'document_versions', 'chunks', 'index_generations', 'term_counts', 'ingest_runs',
        'ingest_run_documents'
    ];
COMMENT ON FUNCTION dreamhub.tenant_tables() IS 'The parents, in the order in which a tenant''s partitions are made.';
REVOKE ALL ON FUNCTION dreamhub.tenant_tables() FROM PUBLIC;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
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

-- One partition: made beside its parent and attached, because ATTACH lets other tenants read on, while
-- CREATE ... PARTITION OF locks the parent against everybody.
CREATE FUNCTION dreamhub.provision_partition(tenant text, name text) RETURNS void
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
    foreign_keys := CASE name
        WHEN 'document_versions' THEN
            'ALTER TABLE %1$I.document_versions ADD CONSTRAINT document_versions_document_fkey '
            'FOREIGN KEY (document_id, tenant_id) REFERENCES %1$I.documents (id, tenant_id)'
        WHEN 'ingest_run_documents' THEN
            'ALTER TABLE %1$I.ingest_run_documents ADD CONSTRAINT ingest_run_documents_run_fkey '
            'FOREIGN KEY (uid, tenant_id) REFERENCES %1$I.ingest_runs (uid, tenant_id) ON DELETE CASCADE'
    END;
    IF foreign_keys IS NOT NULL THEN
        EXECUTE format(foreign_keys, schema_name);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.provision_partition(text, text) FROM PUBLIC;

CREATE FUNCTION dreamhub.provision_role(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := 't_' || tenant;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format(
            'CREATE ROLE %I LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS '
            'CONNECTION LIMIT 32',
            role_name
        );
    END IF;
    EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT PASSWORD %L', role_name, verifier);
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', role_name);
    EXECUTE format('GRANT %I TO dreamhub_api WITH INHERIT FALSE, SET TRUE', role_name);
END
$$;
REVOKE ALL ON FUNCTION dreamhub.provision_role(text, text) FROM PUBLIC;

CREATE FUNCTION dreamhub.provision_tenant(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := 't_' || tenant;
    name text;
BEGIN
    IF tenant IS NULL OR tenant !~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$' THEN
        RAISE EXCEPTION 'not a tenant name: a DNS label of at most 40 characters is needed'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF verifier IS NULL
        OR verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$'
    THEN
        RAISE EXCEPTION 'not a SCRAM-SHA-256 verifier: passwords are never passed to the database'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('dreamhub.provision_tenant', 0));
    PERFORM dreamhub.provision_role(tenant, verifier);
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, dreamhub_operator', schema_name, schema_name);
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        PERFORM dreamhub.provision_partition(tenant, name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I', schema_name, name, schema_name);
    END LOOP;
    EXECUTE format(
        'GRANT SELECT ON %1$I.documents, %1$I.document_versions, %1$I.ingest_runs, %1$I.ingest_run_documents '
        'TO dreamhub_operator',
        schema_name
    );
END
$$;
COMMENT ON FUNCTION dreamhub.provision_tenant(text, text) IS
    'Make or complete a tenant: a role with this verifier, schema, partitions, grants. Repeating it is safe.';
REVOKE ALL ON FUNCTION dreamhub.provision_tenant(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.provision_tenant(text, text) TO dreamhub_operator;
