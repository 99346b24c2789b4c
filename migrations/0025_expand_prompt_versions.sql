-- Which version of our own words a model was asked with, beside which model: kept with every call in the ledger, so that
-- what answers cost, and how good they are, can be told apart by it.

ALTER TABLE dreamhub.token_uses ADD COLUMN prompt text CHECK (length(prompt) BETWEEN 1 AND 100);
COMMENT ON COLUMN dreamhub.token_uses.prompt IS
    'Version of the text around what was sent: of instructions, or of what is embedded. NULL in entries before there were any.';

CREATE OR REPLACE FUNCTION dreamhub.check_settlement() RETURNS trigger
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
    NEW.prompt := held.prompt;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION dreamhub.provision_tables(tenant text) RETURNS void
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
                WHEN 'token_uses' THEN 'SELECT, INSERT (id, model, purpose, tokens, job, reserved, settles, prompt)'
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
