-- What a reading of a source tells beside documents: what it did not read, and what was deleted upstream.

ALTER TABLE dreamhub.ingest_run_documents
    ADD COLUMN finding text CHECK (finding IN ('Unread', 'Deleted')),
    ADD COLUMN name_ct bytea;
COMMENT ON COLUMN dreamhub.ingest_run_documents.finding IS
    'What the source told instead of an outcome. Unread: it stands and was not read; Deleted: it is gone.';
COMMENT ON COLUMN dreamhub.ingest_run_documents.name_ct IS
    'What people call it, encrypted, where no document can tell.';

ALTER TABLE dreamhub.run_workers
    ADD COLUMN unread bigint NOT NULL DEFAULT 0,
    ADD COLUMN deleted bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION dreamhub.count_sealed(tenant text, key_id text) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
    head bytea := decode(lpad(to_hex(octet_length(key_id)), 2, '0'), 'hex') || convert_to(key_id, 'UTF8');
    counted bigint;
BEGIN
    IF key_id IS NULL OR octet_length(key_id) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'a key''s id has 1 to 255 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format(
        'SELECT (SELECT count(*) FROM %1$I.documents WHERE substring(meta_ct FROM 1 FOR $2) = $1) '
        '+ (SELECT count(*) FROM %1$I.chunks WHERE substring(body_ct FROM 1 FOR $2) = $1) '
        '+ (SELECT count(*) FROM %1$I.source_checkpoints WHERE substring(state_ct FROM 1 FOR $2) = $1) '
        '+ (SELECT count(*) FROM %1$I.source_items WHERE substring(revision_ct FROM 1 FOR $2) = $1) '
        '+ (SELECT count(*) FROM %1$I.ingest_run_documents WHERE substring(name_ct FROM 1 FOR $2) = $1)',
        schema_name
    ) INTO counted USING head, octet_length(head);
    RETURN counted;
END
$$;
