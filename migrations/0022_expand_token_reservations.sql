-- Tokens kept for an IngestJob from its admission to its end, so that jobs which start together cannot pass a limit
-- together.
--
-- What is kept stands beside the job's place in the queue and goes with it, however the job ends. What the job has used
-- is read from the ledger, which is the only record of it: of a reservation, what is left is what was not used yet. So
-- there is no counter that a death could leave wrong.

ALTER TABLE dreamhub.job_admissions
    ADD COLUMN reserved_tokens bigint NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0);
COMMENT ON COLUMN dreamhub.job_admissions.reserved_tokens IS
    'Tokens kept for the job; those that it has used are in token_uses and count there.';

CREATE INDEX ON dreamhub.token_uses (job) INCLUDE (tokens) WHERE job IS NOT NULL;
CREATE INDEX ON dreamhub.ingest_run_documents (finished_at DESC) WHERE outcome = 'Done' AND tokens > 0;

CREATE FUNCTION dreamhub.reserve_tokens(tenant text, uid text, tokens bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s'
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    tokens_day bigint;
    tokens_month bigint;
    kept bigint;
    missing bigint;
    q record;
BEGIN
    IF tokens < 0 THEN
        RAISE EXCEPTION 'not a number of tokens: %', tokens USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT * FROM %I.quota FOR UPDATE', schema_name) INTO STRICT q;
    EXECUTE format(
        'SELECT coalesce(sum(greatest(a.reserved_tokens - u.tokens, 0)) FILTER (WHERE a.uid <> $1), 0), '
        '$2 - coalesce(sum(u.tokens) FILTER (WHERE a.uid = $1), 0) '
        'FROM %1$I.job_admissions a CROSS JOIN LATERAL '
        '(SELECT coalesce(sum(t.tokens), 0) AS tokens FROM %1$I.token_uses t WHERE t.job = a.uid) u '
        'WHERE a.uid = $1 OR a.reserved_tokens > 0',
        schema_name
    ) INTO kept, missing USING uid, tokens;
    missing := greatest(missing, 0);
    tokens_day := CASE WHEN q.day >= today THEN q.tokens_day ELSE 0 END;
    tokens_month := CASE WHEN q.day >= date_trunc('month', today) THEN q.tokens_month ELSE 0 END;
    IF missing > 0 AND tokens_month + kept + missing > q.max_tokens_month THEN
        RETURN jsonb_build_object(
            'quota', 'tokensPerMonth', 'limit', q.max_tokens_month, 'used', tokens_month, 'kept', kept,
            'missing', missing, 'resets_on', (date_trunc('month', today) + interval '1 month')::date
        );
    ELSIF missing > 0 AND tokens_day + kept + missing > q.max_tokens_day THEN
        RETURN jsonb_build_object(
            'quota', 'tokensPerDay', 'limit', q.max_tokens_day, 'used', tokens_day, 'kept', kept,
            'missing', missing, 'resets_on', today + 1
        );
    END IF;
    EXECUTE format('UPDATE %I.job_admissions a SET reserved_tokens = $2 WHERE a.uid = $1', schema_name)
        USING uid, tokens;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept = 0 THEN
        RAISE EXCEPTION 'the job has no place in the queue' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION dreamhub.reserve_tokens(text, text, bigint) IS
    'Keep tokens for a job that has a place; NULL when they are kept, else the limit that has no room for them.';
REVOKE ALL ON FUNCTION dreamhub.reserve_tokens(text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.reserve_tokens(text, text, bigint) TO dreamhub_operator;

-- A place that passes to a namesake takes no reservation along.
CREATE OR REPLACE FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s'
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
    room bigint;
    holding text[];
BEGIN
    EXECUTE format(
        'SELECT CASE '
        'WHEN suspended THEN 0 '
        'WHEN max_queued_jobs IS NULL THEN cardinality($1) '
        'ELSE greatest(max_queued_jobs - queued_jobs, 0) END '
        'FROM %I.quota FOR UPDATE',
        schema_name
    ) INTO STRICT room USING names;
    EXECUTE format(
        'UPDATE %I.job_admissions a SET uid = w.uid, reserved_tokens = 0 FROM unnest($1, $2) AS w (name, uid) '
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
