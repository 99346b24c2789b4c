-- Vector indexes built with as many helpers as the server allows, where it has shared memory for them.

CREATE OR REPLACE FUNCTION dreamhub.build_vector_index(tenant text, memory text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    space text := dreamhub.login_name(tenant, '');
    active integer;
    size integer;
    build text;
BEGIN
    EXECUTE format('SELECT generation, dimensions FROM %I.index_generations WHERE active', space) INTO active, size;
    PERFORM dreamhub.drop_vector_indexes(tenant, active);
    IF active IS NULL OR to_regclass(format('%I.%I', space, dreamhub.vector_index_name(active))) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM set_config('maintenance_work_mem', memory, true);
    build := format(
        'CREATE INDEX %I ON %I.chunks USING hnsw ((embedding::public.halfvec(%s)) public.halfvec_cosine_ops) '
        'WITH (ef_construction = 200) WHERE generation = %s',
        dreamhub.vector_index_name(active), space, size, active
    );
    BEGIN
        EXECUTE build;
    EXCEPTION WHEN disk_full OR insufficient_resources OR out_of_memory THEN
        -- Helpers share memory of that size, which a container may not have: then without them, as far as disks allow.
        PERFORM set_config('max_parallel_maintenance_workers', '0', true);
        EXECUTE build;
    END;
    RETURN true;
END
$$;
