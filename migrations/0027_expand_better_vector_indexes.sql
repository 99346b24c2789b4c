-- Vector indexes that find 99 % of the nearest also among vectors that hardly differ: twice the time to build.

CREATE OR REPLACE FUNCTION dreamhub.build_vector_index(tenant text, memory text) RETURNS boolean
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
        'WITH (ef_construction = 200) WHERE generation = %s',
        dreamhub.vector_index_name(active), space, size, active
    );
    RETURN true;
END
$$;
