-- Vector indexes of tenants, which the operator has built when a tenant crosses the size where one pays, and statistics.
--
-- A partial HNSW index of one generation on the tenant's partition, over the vectors cast to the generation's dimensions:
-- the column itself takes any. It is built in one transaction, so an index that can be seen is complete; the tenant's
-- writers wait meanwhile, its readers do not.

CREATE FUNCTION dreamhub.vector_index_name(generation integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    RETURN 'chunks_vectors_' || generation;

CREATE FUNCTION dreamhub.fetch_vector_indexes(tenants text[])
    RETURNS TABLE (
        tenant text, generation integer, model text, dimensions integer, chunks bigint, indexed boolean, analyzed bigint
    )
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    wanted text;
    space text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        space := dreamhub.login_name(wanted, '');
        IF to_regclass(format('%I.index_generations', space)) IS NOT NULL THEN
            RETURN QUERY EXECUTE format(
                'SELECT $1, g.generation, g.model, g.dimensions, g.chunks, '
                'to_regclass(format(''%%I.%%I'', $2, dreamhub.vector_index_name(g.generation))) IS NOT NULL, '
                '(SELECT c.reltuples::bigint FROM pg_class c WHERE c.oid = to_regclass(format(''%%I.chunks'', $2))) '
                'FROM %I.index_generations g WHERE g.active', space
            ) USING wanted, space;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION dreamhub.fetch_vector_indexes IS
    '`analyzed`: rows of the tenant''s chunks when the planner''s statistics were last gathered; -1 for never.';

CREATE FUNCTION dreamhub.drop_vector_indexes(tenant text, but integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    space text := dreamhub.login_name(tenant, '');
    name text;
BEGIN
    FOR name IN
        SELECT c.relname
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass(format('%I.chunks', space))
            AND c.relname LIKE 'chunks\_vectors\_%'
            AND c.relname IS DISTINCT FROM dreamhub.vector_index_name(but)
    LOOP
        EXECUTE format('DROP INDEX %I.%I', space, name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION dreamhub.drop_vector_indexes IS 'All of the tenant''s, except that of the generation `but`.';

CREATE FUNCTION dreamhub.build_vector_index(tenant text, memory text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    space text := dreamhub.login_name(tenant, '');
    active integer;
    size integer;
BEGIN
    EXECUTE format('SELECT generation, dimensions FROM %I.index_generations WHERE active', space) INTO active, size;
    PERFORM dreamhub.drop_vector_indexes(tenant, active);
    IF active IS NULL OR to_regclass(format('%I.%I', space, dreamhub.vector_index_name(active))) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM set_config('maintenance_work_mem', memory, true);
    -- Helpers would need shared memory of that size, which containers seldom have.
    PERFORM set_config('max_parallel_maintenance_workers', '0', true);
    EXECUTE format(
        'CREATE INDEX %I ON %I.chunks USING hnsw ((embedding::public.halfvec(%s)) public.halfvec_cosine_ops) '
        'WHERE generation = %s',
        dreamhub.vector_index_name(active), space, size, active
    );
    RETURN true;
END
$$;
COMMENT ON FUNCTION dreamhub.build_vector_index IS
    'For the active generation; false when there is nothing to build. `memory`: maintenance_work_mem, such as 256MB.';

CREATE FUNCTION dreamhub.refresh_statistics(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    space text := dreamhub.login_name(tenant, '');
BEGIN
    -- Bulk loads and deletions of documents come in large steps: a fifth of a large table is too long to wait.
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(format('%I.chunks', space)) AND reloptions IS NULL) THEN
        EXECUTE format(
            'ALTER TABLE %I.chunks SET (autovacuum_vacuum_scale_factor = 0.05, '
            'autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05)', space
        );
    END IF;
    EXECUTE format('ANALYZE %I.chunks', space);
END
$$;

REVOKE ALL ON FUNCTION
    dreamhub.vector_index_name(integer), dreamhub.fetch_vector_indexes(text[]),
    dreamhub.drop_vector_indexes(text, integer), dreamhub.build_vector_index(text, text),
    dreamhub.refresh_statistics(text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    dreamhub.fetch_vector_indexes(text[]), dreamhub.drop_vector_indexes(text, integer),
    dreamhub.build_vector_index(text, text), dreamhub.refresh_statistics(text)
    TO dreamhub_operator;
