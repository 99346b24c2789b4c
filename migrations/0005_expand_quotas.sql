-- Quotas: what a tenant may hold and use, counted and enforced where it is written.
--
-- `quota` has one row for each tenant, limits beside usage. Triggers on the tenant's tables move the usage in the
-- transaction that changes the rows, under the lock of that one row: two writers cannot both take what is left, and
-- nothing that a tenant's login may do changes a limit or lowers the usage without the rows going. They run after each
-- statement, so writers of one tenant wait for each other from the end of a batch to its commit. In every transaction
-- this lock comes last, after those on documents, versions, terms and generations.
--
-- Errors of our own: DHQ01 a limit would be crossed (the detail is JSON), DHS01 the tenant is suspended.

CREATE TABLE dreamhub.quota (
    tenant_id text NOT NULL,
    max_documents bigint,
    max_chunks bigint,
    max_storage bigint,
    max_tokens_day bigint,
    max_tokens_month bigint,
    max_concurrent_jobs bigint,
    max_queued_jobs bigint,
    suspended boolean NOT NULL DEFAULT false,
    documents bigint NOT NULL DEFAULT 0,
    chunks bigint NOT NULL DEFAULT 0,
    storage bigint NOT NULL DEFAULT 0,
    queued_jobs bigint NOT NULL DEFAULT 0,
    day date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    tokens_day bigint NOT NULL DEFAULT 0,
    tokens_month bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE dreamhub.quota IS 'One row: limits (NULL is none) and usage. Written by triggers and dreamhub.set_limits.';
COMMENT ON COLUMN dreamhub.quota.storage IS 'Bytes of originals, of every version.';
COMMENT ON COLUMN dreamhub.quota.chunks IS 'Stored ones, visible or not: a document that is being replaced counts twice.';
COMMENT ON COLUMN dreamhub.quota.day IS 'The UTC day that tokens_day counts, and the month that tokens_month counts.';
COMMENT ON COLUMN dreamhub.quota.max_concurrent_jobs IS 'Kept for those who ask; the operator starts no more.';

CREATE TABLE dreamhub.token_uses (
    tenant_id text NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    day date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
    model text NOT NULL CHECK (length(model) BETWEEN 1 AND 200),
    purpose text NOT NULL CHECK (purpose IN ('ingest', 'search', 'answer')),
    tokens bigint NOT NULL CHECK (tokens >= 0 OR settles IS NOT NULL),
    job text CHECK (length(job) <= 100),
    reserved boolean NOT NULL DEFAULT false CHECK (NOT reserved OR settles IS NULL),
    settles uuid,
    PRIMARY KEY (id, tenant_id)
) PARTITION BY LIST (tenant_id);
CREATE INDEX ON dreamhub.token_uses USING brin (day);
CREATE UNIQUE INDEX ON dreamhub.token_uses (settles, tenant_id) WHERE settles IS NOT NULL;
COMMENT ON TABLE dreamhub.token_uses IS 'A ledger: rows are added, never changed. The sum of `tokens` is what was used.';
COMMENT ON COLUMN dreamhub.token_uses.day IS 'The UTC day that the row counts for; of a settlement, its reservation''s.';
COMMENT ON COLUMN dreamhub.token_uses.job IS 'UID of the IngestJob, where there is one.';
COMMENT ON COLUMN dreamhub.token_uses.reserved IS
    'Taken before a call whose cost is not known yet. Without a settlement it stands: the call may have been made.';
COMMENT ON COLUMN dreamhub.token_uses.settles IS
    'The reservation whose difference to the true cost `tokens` is here; once for each.';

CREATE TABLE dreamhub.job_admissions (
    tenant_id text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    uid text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON TABLE dreamhub.job_admissions IS
    'Places in the queue: one for each IngestJob that has not ended. The API reserves, the operator settles.';
COMMENT ON COLUMN dreamhub.job_admissions.uid IS 'UID of the IngestJob; NULL until the operator has seen it.';

CREATE OR REPLACE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY[
        'documents', 'document_versions', 'chunks', 'index_generations', 'term_counts', 'ingest_runs',
        'ingest_run_documents', 'object_outbox', 'rekey_runs', 'quota', 'token_uses', 'job_admissions'
    ];

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['quota', 'token_uses', 'job_admissions'] LOOP
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

CREATE FUNCTION dreamhub.refuse_quota(quota text, most bigint, used bigint, requested bigint, resets timestamp)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'quota exceeded: %', quota USING
        ERRCODE = 'DHQ01',
        DETAIL = json_build_object(
            'quota', quota, 'limit', most, 'used', used, 'requested', requested,
            'resets_at', to_char(resets, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        );
END
$$;
REVOKE ALL ON FUNCTION dreamhub.refuse_quota(text, bigint, bigint, bigint, timestamp) FROM PUBLIC;

CREATE FUNCTION dreamhub.use_quota(schema_name text, quota text, change bigint, creates boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    used bigint;
    most bigint;
    stopped boolean;
BEGIN
    EXECUTE format(
        'UPDATE %1$I.quota SET %2$I = %2$I + $1 RETURNING %2$I, %3$I, suspended', schema_name, quota, 'max_' || quota
    ) INTO STRICT used, most, stopped USING change;
    IF creates AND stopped THEN
        RAISE EXCEPTION 'the tenant is suspended' USING ERRCODE = 'DHS01';
    END IF;
    IF change > 0 AND used > most THEN
        PERFORM dreamhub.refuse_quota(quota, most, used - change, change, NULL);
    END IF;
END
$$;
COMMENT ON FUNCTION dreamhub.use_quota(text, text, bigint, boolean) IS
    'Move one usage; refuse to cross its limit. What is above a limit that was lowered may still shrink.';
REVOKE ALL ON FUNCTION dreamhub.use_quota(text, text, bigint, boolean) FROM PUBLIC;

-- Trigger functions. `changed` is the statement's transition table; the tenant is the schema of the table.
CREATE FUNCTION dreamhub.count_rows() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added boolean := TG_OP = 'INSERT';
    counted bigint;
BEGIN
    SELECT count(*) INTO counted FROM changed;
    IF counted > 0 THEN
        PERFORM dreamhub.use_quota(
            TG_TABLE_SCHEMA, TG_ARGV[0], CASE WHEN added THEN counted ELSE -counted END, added AND TG_ARGV[0] <> 'chunks'
        );
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.count_rows() FROM PUBLIC;

CREATE FUNCTION dreamhub.count_storage() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added boolean := TG_OP = 'INSERT';
    bytes bigint;
BEGIN
    SELECT sum(size_bytes)::bigint INTO bytes FROM changed;
    IF bytes IS NOT NULL THEN
        PERFORM dreamhub.use_quota(TG_TABLE_SCHEMA, 'storage', CASE WHEN added THEN bytes ELSE -bytes END, added);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.count_storage() FROM PUBLIC;

CREATE FUNCTION dreamhub.refuse_resize() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the size of a version was counted when it was registered and never changes'
        USING ERRCODE = 'insufficient_privilege';
END
$$;
REVOKE ALL ON FUNCTION dreamhub.refuse_resize() FROM PUBLIC;

CREATE FUNCTION dreamhub.check_settlement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held record;
BEGIN
    EXECUTE format('SELECT * FROM %I.token_uses WHERE id = $1 AND reserved', TG_TABLE_SCHEMA)
        INTO held USING NEW.settles;
    IF held.id IS NULL OR held.tokens + NEW.tokens < 0 THEN
        RAISE EXCEPTION 'a settlement gives back at most what its reservation took'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    NEW.day := held.day;
    NEW.model := held.model;
    NEW.purpose := held.purpose;
    NEW.job := held.job;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.check_settlement() FROM PUBLIC;

CREATE FUNCTION dreamhub.count_tokens() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    spent bigint;
    settled_day bigint;
    settled_month bigint;
    q record;
BEGIN
    SELECT
        coalesce(sum(tokens) FILTER (WHERE settles IS NULL), 0),
        coalesce(sum(tokens) FILTER (WHERE settles IS NOT NULL AND day = today), 0),
        coalesce(
            sum(tokens) FILTER (WHERE settles IS NOT NULL AND date_trunc('month', day) = date_trunc('month', today)), 0
        )
    INTO spent, settled_day, settled_month FROM changed;
    -- A day that is over stays as it is: what is settled later than that gives nothing back to another day.
    EXECUTE format(
        'UPDATE %I.quota SET '
        'day = greatest(day, $1), '
        'tokens_day = $2 + CASE WHEN day > $1 THEN tokens_day WHEN day = $1 THEN tokens_day + $3 ELSE 0 END, '
        'tokens_month = $2 + CASE '
        'WHEN date_trunc(''month'', day) = date_trunc(''month'', $1) THEN tokens_month + $4 '
        'WHEN day > $1 THEN tokens_month ELSE 0 END '
        'RETURNING day, tokens_day, max_tokens_day, tokens_month, max_tokens_month',
        TG_TABLE_SCHEMA
    ) INTO STRICT q USING today, spent, settled_day, settled_month;
    IF spent > 0 AND q.tokens_month > q.max_tokens_month THEN
        PERFORM dreamhub.refuse_quota(
            'tokens_month', q.max_tokens_month, q.tokens_month - spent, spent,
            date_trunc('month', q.day::timestamp) + interval '1 month'
        );
    ELSIF spent > 0 AND q.tokens_day > q.max_tokens_day THEN
        PERFORM dreamhub.refuse_quota(
            'tokens_day', q.max_tokens_day, q.tokens_day - spent, spent, q.day::timestamp + interval '1 day'
        );
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.count_tokens() FROM PUBLIC;

-- Places are the platform's to give: `session_user` is who logged in, whatever role was taken since. The lock comes
-- first here, so that the API's single row and the operator's many meet in one order.
CREATE FUNCTION dreamhub.guard_admissions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF session_user NOT IN ('dreamhub_api', 'dreamhub_operator') THEN
        RAISE EXCEPTION 'only the API and the operator give places in the queue'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('SELECT FROM %I.quota FOR UPDATE', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.guard_admissions() FROM PUBLIC;

-- The usage is counted from the rows in the transaction that installs the triggers, which holds off writers.
CREATE FUNCTION dreamhub.provision_quota(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
    present boolean;
    counted text;
    event text;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.quota)', schema_name) INTO present;
    IF present THEN
        RETURN;
    END IF;
    FOREACH event IN ARRAY ARRAY['INSERT', 'DELETE'] LOOP
        FOREACH counted IN ARRAY ARRAY[
            'documents.count_rows(''documents'')', 'document_versions.count_storage()', 'chunks.count_rows(''chunks'')',
            'job_admissions.count_rows(''queued_jobs'')'
        ] LOOP
            EXECUTE format(
                'CREATE TRIGGER %1$s AFTER %2$s ON %3$I.%4$I REFERENCING %5$s TABLE AS changed '
                'FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.%6$s',
                'quota_' || lower(event), event, schema_name, split_part(counted, '.', 1),
                CASE event WHEN 'INSERT' THEN 'NEW' ELSE 'OLD' END, split_part(counted, '.', 2)
            );
        END LOOP;
    END LOOP;
    EXECUTE format(
        'CREATE TRIGGER quota_resize BEFORE UPDATE OF size_bytes ON %1$I.document_versions '
        'FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.refuse_resize();'
        'CREATE TRIGGER quota_settle BEFORE INSERT ON %1$I.token_uses '
        'FOR EACH ROW WHEN (NEW.settles IS NOT NULL) EXECUTE FUNCTION dreamhub.check_settlement();'
        'CREATE TRIGGER quota_insert AFTER INSERT ON %1$I.token_uses REFERENCING NEW TABLE AS changed '
        'FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_tokens();'
        'CREATE TRIGGER quota_guard BEFORE INSERT OR DELETE ON %1$I.job_admissions '
        'FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.guard_admissions();'
        'INSERT INTO %1$I.quota (documents, chunks, storage) SELECT '
        '(SELECT count(*) FROM %1$I.documents), (SELECT count(*) FROM %1$I.chunks), '
        '(SELECT coalesce(sum(size_bytes), 0) FROM %1$I.document_versions)',
        schema_name
    );
END
$$;
REVOKE ALL ON FUNCTION dreamhub.provision_quota(text) FROM PUBLIC;

CREATE FUNCTION dreamhub.provision_tables(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    name text;
BEGIN
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        PERFORM dreamhub.provision_partition(tenant, name);
        EXECUTE format(
            'GRANT %s ON %I.%I TO %I',
            CASE name
                WHEN 'quota' THEN 'SELECT'
                WHEN 'token_uses' THEN 'SELECT, INSERT (id, model, purpose, tokens, job, reserved, settles)'
                WHEN 'job_admissions' THEN 'SELECT, INSERT (name), DELETE'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END,
            role_name, name, role_name
        );
    END LOOP;
    EXECUTE format(
        'GRANT SELECT ON %1$I.documents, %1$I.document_versions, %1$I.ingest_runs, %1$I.ingest_run_documents, '
        '%1$I.rekey_runs, %1$I.quota, %1$I.job_admissions TO dreamhub_operator',
        role_name
    );
    PERFORM dreamhub.provision_quota(tenant);
END
$$;
COMMENT ON FUNCTION dreamhub.provision_tables(text) IS
    'Make or complete a tenant''s partitions, with grants and triggers. Repeating it is safe.';
REVOKE ALL ON FUNCTION dreamhub.provision_tables(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dreamhub.provision_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
BEGIN
    PERFORM dreamhub.serialize_provisioning();
    PERFORM dreamhub.provision_role(tenant);
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, dreamhub_operator', schema_name, schema_name);
    PERFORM dreamhub.provision_tables(tenant);
END
$$;

-- For the operator.
CREATE FUNCTION dreamhub.set_limits(tenant text, limits jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF limits - ARRAY[
        'documents', 'chunks', 'storage', 'tokensPerDay', 'tokensPerMonth', 'concurrentJobs', 'queuedJobs', 'suspended'
    ] <> '{}' THEN
        RAISE EXCEPTION 'not a limit: %', limits USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format(
        'UPDATE %I.quota SET '
        'max_documents = ($1->>''documents'')::bigint, '
        'max_chunks = ($1->>''chunks'')::bigint, '
        'max_storage = ($1->>''storage'')::bigint, '
        'max_tokens_day = ($1->>''tokensPerDay'')::bigint, '
        'max_tokens_month = ($1->>''tokensPerMonth'')::bigint, '
        'max_concurrent_jobs = ($1->>''concurrentJobs'')::bigint, '
        'max_queued_jobs = ($1->>''queuedJobs'')::bigint, '
        'suspended = coalesce(($1->>''suspended'')::boolean, false)',
        dreamhub.login_name(tenant, '')
    ) USING limits;
END
$$;
COMMENT ON FUNCTION dreamhub.set_limits(text, jsonb) IS 'All limits of a tenant at once: an absent one is none.';
REVOKE ALL ON FUNCTION dreamhub.set_limits(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.set_limits(text, jsonb) TO dreamhub_operator;

CREATE FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
    room bigint;
    holding text[];
BEGIN
    EXECUTE format(
        'SELECT CASE WHEN suspended THEN 0 ELSE greatest(max_queued_jobs - queued_jobs, 0) END '
        'FROM %I.quota FOR UPDATE',
        schema_name
    ) INTO STRICT room;
    EXECUTE format(
        'UPDATE %I.job_admissions a SET uid = w.uid FROM unnest($1, $2) AS w (name, uid) '
        'WHERE a.name = w.name AND a.uid IS DISTINCT FROM w.uid',
        schema_name
    ) USING names, uids;
    EXECUTE format(
        'INSERT INTO %1$I.job_admissions (name, uid) SELECT w.name, w.uid '
        'FROM unnest($1, $2) WITH ORDINALITY AS w (name, uid, place) '
        'WHERE NOT EXISTS (SELECT FROM %1$I.job_admissions a WHERE a.name = w.name) ORDER BY w.place LIMIT $3',
        schema_name
    ) USING names, uids, room;
    EXECUTE format('SELECT array_agg(name) FROM %I.job_admissions WHERE name = ANY ($1)', schema_name)
        INTO holding USING names;
    RETURN coalesce(holding, '{}');
END
$$;
COMMENT ON FUNCTION dreamhub.admit_jobs(text, text[], text[]) IS
    'Give places in this order while there are any; returns which of the names have one. A suspended tenant gets none.';
REVOKE ALL ON FUNCTION dreamhub.admit_jobs(text, text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.admit_jobs(text, text[], text[]) TO dreamhub_operator;

CREATE FUNCTION dreamhub.release_jobs(tenant text, names text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'DELETE FROM %I.job_admissions WHERE name = ANY ($1)', dreamhub.login_name(tenant, '')
    ) USING names;
END
$$;
COMMENT ON FUNCTION dreamhub.release_jobs(text, text[]) IS 'The places of jobs that have ended. Absent names are fine.';
REVOKE ALL ON FUNCTION dreamhub.release_jobs(text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.release_jobs(text, text[]) TO dreamhub_operator;

-- With the caller's own rights: the operator may read these tables. Tenants that have none are left out.
CREATE FUNCTION dreamhub.fetch_quotas(tenants text[]) RETURNS TABLE (tenant text, quota jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        IF to_regclass(format('%I.quota', 't_' || wanted)) IS NOT NULL THEN
            RETURN QUERY EXECUTE format('SELECT $1, to_jsonb(q) FROM %I.quota q', 't_' || wanted) USING wanted;
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.fetch_quotas(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.fetch_quotas(text[]) TO dreamhub_operator;

CREATE FUNCTION dreamhub.fetch_admissions(tenants text[])
    RETURNS TABLE (tenant text, name text, uid text, age_seconds double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        IF to_regclass(format('%I.job_admissions', 't_' || wanted)) IS NOT NULL THEN
            RETURN QUERY EXECUTE format(
                'SELECT $1, a.name, a.uid, extract(epoch FROM now() - a.created_at)::double precision '
                'FROM %I.job_admissions a ORDER BY a.created_at, a.name',
                't_' || wanted
            ) USING wanted;
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.fetch_admissions(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.fetch_admissions(text[]) TO dreamhub_operator;
