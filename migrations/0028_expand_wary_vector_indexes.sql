-- What the operator reads of all tenants' indexes, whatever a tenant has written or locked: long texts are cut, and a
-- tenant whose table is locked is passed over, as with places in queues.

CREATE OR REPLACE FUNCTION dreamhub.fetch_vector_indexes(tenants text[])
    RETURNS TABLE (
        tenant text, generation integer, model text, dimensions integer, chunks bigint, indexed boolean, analyzed bigint
    )
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    wanted text;
    space text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        space := dreamhub.login_name(wanted, '');
        IF to_regclass(format('%I.index_generations', space)) IS NOT NULL THEN
            BEGIN
                RETURN QUERY EXECUTE format(
                    'SELECT $1, g.generation, left(g.model, 200), g.dimensions, g.chunks, '
                    'to_regclass(format(''%%I.%%I'', $2, dreamhub.vector_index_name(g.generation))) IS NOT NULL, '
                    '(SELECT c.reltuples::bigint FROM pg_class c WHERE c.oid = to_regclass(format(''%%I.chunks'', $2))) '
                    'FROM %I.index_generations g WHERE g.active', space
                ) USING wanted, space;
            EXCEPTION WHEN lock_not_available THEN
                NULL;  -- one of its sessions has locked the table: the others' indexes are looked at
            END;
        END IF;
    END LOOP;
END
$$;
