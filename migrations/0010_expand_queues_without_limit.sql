-- A tenant without a limit has room for every job: GREATEST passes over NULL, and gave none.

CREATE OR REPLACE FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
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
