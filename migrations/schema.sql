CREATE SCHEMA dreamhub;
ALTER SCHEMA dreamhub OWNER TO dreamhub_owner;
CREATE SCHEMA t_snapshot;
ALTER SCHEMA t_snapshot OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) IS 'Give places in this order while there are any; returns which of the names have one. A suspended tenant gets none.';
CREATE FUNCTION dreamhub.alter_login(login text, change text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    EXECUTE format('ALTER ROLE %I %s', login, change);
EXCEPTION WHEN lock_not_available THEN
    PERFORM dreamhub.end_sessions(login);
    EXECUTE format('ALTER ROLE %I %s', login, change);
END
$$;
ALTER FUNCTION dreamhub.alter_login(login text, change text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.alter_login(login text, change text) IS 'Change a login (SQL, not escaped), though a session of its own holds its record: that session is ended.';
CREATE FUNCTION dreamhub.build_vector_index(tenant text, memory text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.build_vector_index(tenant text, memory text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.build_vector_index(tenant text, memory text) IS 'For the active generation; false when there is nothing to build. `memory`: maintenance_work_mem, such as 256MB.';
CREATE FUNCTION dreamhub.check_settlement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.check_settlement() OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.check_verifier(verifier text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
BEGIN
    IF verifier IS NULL
        OR verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$'
    THEN
        RAISE EXCEPTION 'not a SCRAM-SHA-256 verifier: passwords are never passed to the database'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$_$;
ALTER FUNCTION dreamhub.check_verifier(verifier text) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.claim_tenant(tenant text, owner text, former text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    holder text;
BEGIN
    INSERT INTO dreamhub.tenant_owners (tenant, owner) VALUES (claim_tenant.tenant, claim_tenant.owner)
    ON CONFLICT DO NOTHING;
    UPDATE dreamhub.tenant_owners o SET owner = claim_tenant.owner, claimed_at = now()
    WHERE o.tenant = claim_tenant.tenant AND o.owner = claim_tenant.former;
    SELECT o.owner INTO STRICT holder FROM dreamhub.tenant_owners o WHERE o.tenant = claim_tenant.tenant;
    RETURN holder;
END
$$;
ALTER FUNCTION dreamhub.claim_tenant(tenant text, owner text, former text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.claim_tenant(tenant text, owner text, former text) IS 'Make a Tenant the owner of what is nobody''s or, given by name, a former owner''s. Returns who owns it now.';
CREATE FUNCTION dreamhub.count_rows() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.count_rows() OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.count_sealed(tenant text, key_id text) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.count_sealed(tenant text, key_id text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.count_sealed(tenant text, key_id text) IS 'Rows of the tenant that name this data key: it may be taken away when there are none.';
CREATE FUNCTION dreamhub.count_storage() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.count_storage() OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.count_tokens() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.count_tokens() OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.drop_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    slot text;
    login text;
BEGIN
    PERFORM dreamhub.serialize_provisioning();
    FOREACH slot IN ARRAY ARRAY['a', 'b', ''] LOOP
        PERFORM dreamhub.end_login(tenant, slot);
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
        WHERE n.nspname = role_name AND r.rolname = 'dreamhub_owner'
    ) THEN
        EXECUTE format('DROP SCHEMA %I CASCADE', role_name);
    END IF;
    FOREACH slot IN ARRAY ARRAY['a', 'b', ''] LOOP
        login := dreamhub.login_name(tenant, slot);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            -- Default privileges: its own, and those that others made for it.
            EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', login);
            EXECUTE format('DROP OWNED BY %I', login);
            EXECUTE format('DROP ROLE %I', login);
        END IF;
    END LOOP;
END
$$;
ALTER FUNCTION dreamhub.drop_tenant(tenant text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.drop_tenant(tenant text) IS 'Destroy a tenant: logins with their sessions, schema with all rows, role. An absent one is fine.';
CREATE FUNCTION dreamhub.drop_vector_indexes(tenant text, but integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.drop_vector_indexes(tenant text, but integer) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.drop_vector_indexes(tenant text, but integer) IS 'All of the tenant''s, except that of the generation `but`.';
CREATE FUNCTION dreamhub.end_holders() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    holder record;
BEGIN
    PERFORM pg_stat_clear_snapshot();
    FOR holder IN
        SELECT DISTINCT a.pid, a.usename
        FROM pg_locks l
        JOIN pg_stat_activity a ON a.pid = l.pid
        JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        JOIN pg_class c ON c.oid = l.relation
        WHERE l.granted AND c.relnamespace = 'dreamhub'::regnamespace AND c.relname = ANY (dreamhub.tenant_tables())
            AND a.usename ~ '^t_[-a-z0-9]+([.][ab])?$'
    LOOP
        -- Only a member with the login's rights may end its sessions.
        EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', holder.usename);
        PERFORM pg_terminate_backend(holder.pid);
        EXECUTE format('REVOKE %I FROM dreamhub_owner', holder.usename);
    END LOOP;
END
$_$;
ALTER FUNCTION dreamhub.end_holders() OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.end_holders() IS 'End the sessions of tenants'' logins that hold a lock on a parent.';
CREATE FUNCTION dreamhub.end_login(tenant text, slot text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    IF login IS NULL THEN
        RAISE EXCEPTION 'not a slot: a tenant logs in as a or b' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        PERFORM dreamhub.end_sessions(login);
        PERFORM dreamhub.alter_login(login, 'NOLOGIN PASSWORD NULL');
        PERFORM dreamhub.end_sessions(login);
    END IF;
END
$$;
ALTER FUNCTION dreamhub.end_login(tenant text, slot text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.end_login(tenant text, slot text) IS 'No new login by this slot, and no session either: its password is forgotten. An absent one is fine.';
CREATE FUNCTION dreamhub.end_sessions(login text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- Only a member with the login's rights may end its sessions.
    EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', login);
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = login;
    EXECUTE format('REVOKE %I FROM dreamhub_owner', login);
END
$$;
ALTER FUNCTION dreamhub.end_sessions(login text) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.erase_tenant(tenant text, owner text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
BEGIN
    PERFORM FROM dreamhub.tenant_owners o
    WHERE o.tenant = erase_tenant.tenant AND o.owner = erase_tenant.owner FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the stores of tenant % do not belong to %', tenant, owner
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    BEGIN
        PERFORM set_config('lock_timeout', '2s', true);
        PERFORM dreamhub.lock_parents();
    EXCEPTION WHEN lock_not_available THEN
        PERFORM dreamhub.end_holders();
        PERFORM dreamhub.lock_parents();
    END;
    PERFORM dreamhub.drop_tenant(tenant);
END
$$;
ALTER FUNCTION dreamhub.erase_tenant(tenant text, owner text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.erase_tenant(tenant text, owner text) IS 'Destroy a tenant as dreamhub.drop_tenant does, when this is its owner. The record stays until release_tenant.';
CREATE FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamp with time zone) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    IF login IS NULL OR moment IS NULL THEN
        RAISE EXCEPTION 'a slot and a moment are needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login AND rolcanlogin) THEN
        PERFORM dreamhub.alter_login(login, format('VALID UNTIL %L', moment));
    END IF;
END
$$;
ALTER FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamp with time zone) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamp with time zone) IS 'From that moment on the login is refused. Sessions that are open go on until dreamhub.end_login.';
CREATE FUNCTION dreamhub.fetch_admissions(tenants text[]) RETURNS TABLE(tenant text, name text, uid text, age_seconds double precision)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $_$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        IF to_regclass(format('%I.job_admissions', 't_' || wanted)) IS NOT NULL THEN
            BEGIN
                RETURN QUERY EXECUTE format(
                    'SELECT $1, a.name, a.uid, extract(epoch FROM now() - a.created_at)::double precision '
                    'FROM %I.job_admissions a ORDER BY a.created_at, a.name',
                    't_' || wanted
                ) USING wanted;
            EXCEPTION WHEN lock_not_available THEN
                NULL;  -- one of its sessions has locked the table: the others' places are looked at
            END;
        END IF;
    END LOOP;
END
$_$;
ALTER FUNCTION dreamhub.fetch_admissions(tenants text[]) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.fetch_quotas(tenants text[]) RETURNS TABLE(tenant text, quota jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY tenants LOOP
        IF to_regclass(format('%I.quota', 't_' || wanted)) IS NOT NULL THEN
            RETURN QUERY EXECUTE format('SELECT $1, to_jsonb(q) FROM %I.quota q', 't_' || wanted) USING wanted;
        END IF;
    END LOOP;
END
$_$;
ALTER FUNCTION dreamhub.fetch_quotas(tenants text[]) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.fetch_vector_indexes(tenants text[]) RETURNS TABLE(tenant text, generation integer, model text, dimensions integer, chunks bigint, indexed boolean, analyzed bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.fetch_vector_indexes(tenants text[]) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.fetch_vector_indexes(tenants text[]) IS '`analyzed`: rows of the tenant''s chunks when the planner''s statistics were last gathered; -1 for never.';
CREATE FUNCTION dreamhub.guard_admissions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.guard_admissions() OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.limit_login(login text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM dreamhub.alter_login(login, 'CONNECTION LIMIT 32');
    PERFORM dreamhub.alter_login(login, 'SET statement_timeout = ''10min''');
    PERFORM dreamhub.alter_login(login, 'SET idle_in_transaction_session_timeout = ''2min''');
    IF has_parameter_privilege('temp_file_limit', 'SET') THEN
        PERFORM dreamhub.alter_login(login, 'SET temp_file_limit = ''1GB''');
    END IF;
END
$$;
ALTER FUNCTION dreamhub.limit_login(login text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.limit_login(login text) IS 'What one login of a tenant may use of the server. temp_file_limit needs the grant that bootstrap.sql gives.';
CREATE FUNCTION dreamhub.lock_parents() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        EXECUTE format('LOCK TABLE ONLY dreamhub.%I IN ACCESS EXCLUSIVE MODE', name);
    END LOOP;
END
$$;
ALTER FUNCTION dreamhub.lock_parents() OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.lock_parents() IS 'In the order in which writers come by them: waiting at one, this holds none that a writer still needs.';
CREATE FUNCTION dreamhub.login_name(tenant text, slot text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
BEGIN
    IF tenant IS NULL OR tenant !~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$' THEN
        RAISE EXCEPTION 'not a tenant name: a DNS label of at most 40 characters is needed'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN CASE slot
        WHEN '' THEN 't_' || tenant
        WHEN 'a' THEN 't_' || tenant || '.a'
        WHEN 'b' THEN 't_' || tenant || '.b'
    END;
END
$_$;
ALTER FUNCTION dreamhub.login_name(tenant text, slot text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.login_name(tenant text, slot text) IS 'The login in a slot; the empty slot is the role itself, which was the login before there were slots.';
CREATE FUNCTION dreamhub.provision_partition(tenant text, name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
    foreign_keys := CASE
        WHEN name = 'document_versions' THEN
            'ALTER TABLE %1$I.%2$I ADD CONSTRAINT document_versions_document_fkey '
            'FOREIGN KEY (document_id, tenant_id) REFERENCES %1$I.documents (id, tenant_id)'
        WHEN name IN ('ingest_run_documents', 'work_items', 'run_workers') THEN
            'ALTER TABLE %1$I.%2$I ADD CONSTRAINT %3$I '
            'FOREIGN KEY (uid, tenant_id) REFERENCES %1$I.ingest_runs (uid, tenant_id) ON DELETE CASCADE'
    END;
    IF foreign_keys IS NOT NULL THEN
        EXECUTE format(foreign_keys, schema_name, name, name || '_run_fkey');
    END IF;
END
$_$;
ALTER FUNCTION dreamhub.provision_partition(tenant text, name text) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.provision_quota(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.provision_quota(tenant text) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.provision_role(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format(
            'CREATE ROLE %I NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role_name
        );
    END IF;
    -- Only where it is needed: the tenant's sessions may hold the record of their own role.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name AND rolinherit) THEN
        EXECUTE format('ALTER ROLE %I NOINHERIT', role_name);
    END IF;
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', role_name);
    EXECUTE format('GRANT %I TO dreamhub_api WITH INHERIT FALSE, SET TRUE', role_name);
END
$$;
ALTER FUNCTION dreamhub.provision_role(tenant text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.provision_role(tenant text) IS 'The tenant''s role. One that is a login still, from an earlier release, stays one until dreamhub.end_login.';
CREATE FUNCTION dreamhub.provision_role(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM dreamhub.provision_role(tenant);
    EXECUTE format(
        'ALTER ROLE %I LOGIN PASSWORD %L VALID UNTIL ''infinity''', dreamhub.login_name(tenant, ''), verifier
    );
    PERFORM dreamhub.limit_login(dreamhub.login_name(tenant, ''));
END
$$;
ALTER FUNCTION dreamhub.provision_role(tenant text, verifier text) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.provision_tables(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.provision_tables(tenant text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.provision_tables(tenant text) IS 'Make or complete a tenant''s partitions, with grants and triggers. Repeating it is safe.';
CREATE FUNCTION dreamhub.provision_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.provision_tenant(tenant text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.provision_tenant(tenant text) IS 'Make or complete a tenant: role, schema, partitions, grants. Repeating it is safe. Logins: dreamhub.set_login.';
CREATE FUNCTION dreamhub.provision_tenant(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM dreamhub.login_name(tenant, '');
    PERFORM dreamhub.check_verifier(verifier);
    PERFORM dreamhub.provision_tenant(tenant);
    PERFORM dreamhub.provision_role(tenant, verifier);
END
$$;
ALTER FUNCTION dreamhub.provision_tenant(tenant text, verifier text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.provision_tenant(tenant text, verifier text) IS 'As dreamhub.provision_tenant(text), with the role itself as the login: for builds that know no slots.';
CREATE FUNCTION dreamhub.refresh_statistics(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.refresh_statistics(tenant text) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.refuse_quota(quota text, most bigint, used bigint, requested bigint, resets timestamp without time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION dreamhub.refuse_quota(quota text, most bigint, used bigint, requested bigint, resets timestamp without time zone) OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.refuse_resize() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION 'the size of a version was counted when it was registered and never changes'
        USING ERRCODE = 'insufficient_privilege';
END
$$;
ALTER FUNCTION dreamhub.refuse_resize() OWNER TO dreamhub_owner;
CREATE FUNCTION dreamhub.release_jobs(tenant text, names text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $_$
BEGIN
    EXECUTE format(
        'DELETE FROM %I.job_admissions WHERE name = ANY ($1)', dreamhub.login_name(tenant, '')
    ) USING names;
END
$_$;
ALTER FUNCTION dreamhub.release_jobs(tenant text, names text[]) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.release_jobs(tenant text, names text[]) IS 'The places of jobs that have ended. Absent names are fine.';
CREATE FUNCTION dreamhub.release_tenant(tenant text, owner text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    DELETE FROM dreamhub.tenant_owners o WHERE o.tenant = release_tenant.tenant AND o.owner = release_tenant.owner
$$;
ALTER FUNCTION dreamhub.release_tenant(tenant text, owner text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.release_tenant(tenant text, owner text) IS 'The name is free: nothing of the tenant is left in any store. Nothing when another owns it.';
CREATE FUNCTION dreamhub.reserve_tokens(tenant text, uid text, tokens bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.reserve_tokens(tenant text, uid text, tokens bigint) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.reserve_tokens(tenant text, uid text, tokens bigint) IS 'Keep tokens for a job that has a place; NULL when they are kept, else the limit that has no room for them.';
CREATE FUNCTION dreamhub.serialize_provisioning() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    LOCK TABLE dreamhub.provisioning IN EXCLUSIVE MODE;
    -- Everybody waits for this transaction from here on, so it waits for nobody long.
    PERFORM set_config('lock_timeout', '5s', true);
END
$$;
ALTER FUNCTION dreamhub.serialize_provisioning() OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.serialize_provisioning() IS 'One at a time until the transaction ends. A table, because any login may take any advisory lock.';
CREATE FUNCTION dreamhub.set_limits(tenant text, limits jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.set_limits(tenant text, limits jsonb) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.set_limits(tenant text, limits jsonb) IS 'All limits of a tenant at once: an absent one is none.';
CREATE FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    PERFORM dreamhub.check_verifier(verifier);
    IF login IS NULL OR login = role_name THEN
        RAISE EXCEPTION 'not a slot: a tenant logs in as a or b' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format(
            'CREATE ROLE %I NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', login
        );
    END IF;
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', login);
    EXECUTE format('GRANT %I TO %I WITH INHERIT FALSE, SET TRUE', role_name, login);
    PERFORM dreamhub.alter_login(login, 'RESET ALL');
    PERFORM dreamhub.alter_login(login, format('LOGIN NOINHERIT PASSWORD %L VALID UNTIL ''infinity''', verifier));
    PERFORM dreamhub.limit_login(login);
END
$$;
ALTER FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) IS 'Let the tenant log in by this slot with this verifier. Repeating it repairs what was changed.';
CREATE FUNCTION dreamhub.strip_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    statement text;
BEGIN
    PERFORM dreamhub.serialize_provisioning();
    FOR statement IN
        WITH tables AS (
            SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relacl, c.relowner
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = role_name AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        ), grants AS (
            SELECT format('SCHEMA %I', n.nspname) AS object, a.grantee, n.nspowner AS owner
            FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = role_name
            UNION
            SELECT 'TABLE ' || t.name, a.grantee, t.relowner FROM tables t, aclexplode(t.relacl) a
            UNION
            SELECT 'TABLE ' || t.name, a.grantee, t.relowner
            FROM tables t JOIN pg_attribute c ON c.attrelid = t.oid, aclexplode(c.attacl) a
        )
        SELECT format(
            'REVOKE ALL ON %s FROM %s CASCADE', object,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
        )
        FROM grants WHERE grantee <> owner
        UNION ALL
        SELECT format('ALTER TABLE %s ENABLE TRIGGER %I', t.name, g.tgname)
        FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid
        WHERE NOT g.tgisinternal AND g.tgenabled <> 'O'
        UNION ALL
        SELECT format('REVOKE %I FROM %I CASCADE', r.rolname, g.rolname)
        FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid JOIN pg_roles g ON g.oid = m.member
        WHERE r.rolname = role_name AND m.grantor = 'dreamhub_owner'::regrole
            AND g.rolname NOT IN ('dreamhub_owner', 'dreamhub_api', role_name || '.a', role_name || '.b')
        UNION ALL
        SELECT format('ALTER ROLE %I IN DATABASE %I RESET ALL', r.rolname, d.datname)
        FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
        WHERE r.rolname IN (role_name, role_name || '.a', role_name || '.b')
        UNION ALL
        SELECT format('ALTER ROLE %I RESET ALL', rolname)
        FROM pg_roles WHERE rolname = role_name AND rolconfig IS NOT NULL AND NOT rolcanlogin
        UNION ALL
        SELECT format('ALTER ROLE %I NOINHERIT NOCREATEROLE CONNECTION LIMIT -1', rolname)
        FROM pg_roles WHERE rolname = role_name AND NOT rolcanlogin AND NOT rolsuper
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
ALTER FUNCTION dreamhub.strip_tenant(tenant text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.strip_tenant(tenant text) IS 'Take every grant on a tenant''s schema and tables from everybody; dreamhub.provision_tenant gives the right ones.';
CREATE FUNCTION dreamhub.tenant_owner(tenant text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT o.owner FROM dreamhub.tenant_owners o WHERE o.tenant = tenant_owner.tenant
$$;
ALTER FUNCTION dreamhub.tenant_owner(tenant text) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.tenant_owner(tenant text) IS 'UID of the Tenant that owns the stores of this name; NULL for nobody.';
CREATE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN ARRAY['documents'::text, 'document_versions'::text, 'chunks'::text, 'index_generations'::text, 'term_counts'::text, 'ingest_runs'::text, 'ingest_run_documents'::text, 'object_outbox'::text, 'rekey_runs'::text, 'quota'::text, 'token_uses'::text, 'job_admissions'::text, 'work_items'::text, 'run_workers'::text, 'source_checkpoints'::text, 'source_items'::text];
ALTER FUNCTION dreamhub.tenant_tables() OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.tenant_tables() IS 'The parents, in the order in which a tenant''s partitions are made.';
CREATE FUNCTION dreamhub.use_quota(schema_name text, quota text, change bigint, creates boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;
ALTER FUNCTION dreamhub.use_quota(schema_name text, quota text, change bigint, creates boolean) OWNER TO dreamhub_owner;
COMMENT ON FUNCTION dreamhub.use_quota(schema_name text, quota text, change bigint, creates boolean) IS 'Move one usage; refuse to cross its limit. What is above a limit that was lowered may still shrink.';
CREATE FUNCTION dreamhub.vector_index_name(generation integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN ('chunks_vectors_'::text || generation);
ALTER FUNCTION dreamhub.vector_index_name(generation integer) OWNER TO dreamhub_owner;
CREATE TABLE dreamhub.chunks (
    landing uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
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
    unit text,
    CONSTRAINT chunks_unit_check CHECK ((unit = ANY (ARRAY['page'::text, 'slide'::text, 'sheet'::text, 'row'::text, 'line'::text])))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.chunks ALTER COLUMN embedding SET STORAGE MAIN;
ALTER TABLE ONLY dreamhub.chunks ALTER COLUMN bm25 SET STORAGE MAIN;
ALTER TABLE ONLY dreamhub.chunks ALTER COLUMN terms SET STORAGE EXTERNAL;
ALTER TABLE ONLY dreamhub.chunks ALTER COLUMN body_ct SET STORAGE EXTERNAL;
ALTER TABLE ONLY dreamhub.chunks FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.chunks OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.chunks IS 'No foreign keys: a batch locks its version row, which is checked once instead of once a row.';
COMMENT ON COLUMN dreamhub.chunks.bm25 IS 'The term-frequency part of BM25 at the same hashes.';
COMMENT ON COLUMN dreamhub.chunks.terms IS 'Keyed hashes of the words.';
COMMENT ON COLUMN dreamhub.chunks.body_ct IS 'Text, title and heading path, encrypted; landing and ordinal are the associated data.';
COMMENT ON COLUMN dreamhub.chunks.unit IS 'What `page` counts. NULL beside a number: a page, of a chunk stored before there were others.';
CREATE TABLE dreamhub.document_versions (
    tenant_id text NOT NULL,
    id text NOT NULL,
    document_id text NOT NULL,
    number integer NOT NULL,
    media_type text NOT NULL,
    content_key bytea NOT NULL,
    size_bytes bigint NOT NULL,
    state text DEFAULT 'uploaded'::text NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    holder text,
    landing uuid,
    landing_build text,
    landing_generation integer,
    chunks_stored integer DEFAULT 0 NOT NULL,
    shown uuid,
    generation integer,
    worker_build text,
    pages integer,
    chunks integer DEFAULT 0 NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    activated_at timestamp with time zone,
    holder_run text,
    holder_attempt integer,
    holder_worker integer,
    CONSTRAINT document_versions_number_check CHECK ((number > 0)),
    CONSTRAINT document_versions_size_bytes_check CHECK ((size_bytes >= 0)),
    CONSTRAINT document_versions_state_check CHECK ((state = ANY (ARRAY['uploaded'::text, 'landing'::text, 'active'::text, 'failed'::text])))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.document_versions FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.document_versions OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.document_versions.content_key IS 'Keyed hash of the content''s SHA-256.';
COMMENT ON COLUMN dreamhub.document_versions.fence IS 'Grows with each claim; a write with an older one is refused.';
COMMENT ON COLUMN dreamhub.document_versions.landing IS 'The set of chunks being written; readers leave it out.';
COMMENT ON COLUMN dreamhub.document_versions.chunks_stored IS 'Checkpoint of the landing: the next ordinal.';
COMMENT ON COLUMN dreamhub.document_versions.shown IS 'The set of chunks that readers see.';
COMMENT ON COLUMN dreamhub.document_versions.holder_run IS 'UID of the run whose claim this is, with its attempt: while that attempt lives, another run waits.';
COMMENT ON COLUMN dreamhub.document_versions.holder_worker IS 'Which worker of holder_run; NULL in claims of earlier builds.';
CREATE TABLE dreamhub.documents (
    tenant_id text NOT NULL,
    id text NOT NULL,
    meta_ct bytea NOT NULL,
    name_key bytea NOT NULL,
    tag_keys bytea[] NOT NULL,
    source text NOT NULL,
    active_version text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT documents_source_check CHECK ((source = ANY (ARRAY['upload'::text, 'inline'::text, 's3'::text, 'web'::text, 'mail'::text, 'calendar'::text, 'plugin'::text])))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.documents FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.documents OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.documents.meta_ct IS 'Name and tags, encrypted; the document id is the associated data.';
COMMENT ON COLUMN dreamhub.documents.name_key IS 'Keyed hash of the name: the same name is the same document.';
COMMENT ON COLUMN dreamhub.documents.tag_keys IS 'Keyed hashes of the tags, for filters.';
CREATE TABLE dreamhub.fair_balances (
    tenant text NOT NULL,
    consumed double precision NOT NULL,
    as_of timestamp with time zone NOT NULL,
    CONSTRAINT fair_balances_consumed_check CHECK ((consumed >= (0)::double precision)),
    CONSTRAINT fair_balances_tenant_check CHECK ((tenant ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'::text))
);
ALTER TABLE dreamhub.fair_balances OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.fair_balances IS 'Settled use of each tenant. No tenant reads or writes it.';
COMMENT ON COLUMN dreamhub.fair_balances.as_of IS 'The moment for which `consumed` holds; it halves with each half-life after.';
CREATE TABLE dreamhub.fair_charges (
    uid text NOT NULL,
    tenant text NOT NULL,
    cost bigint NOT NULL,
    settled bigint DEFAULT 0 NOT NULL,
    CONSTRAINT fair_charges_cost_check CHECK ((cost >= 0)),
    CONSTRAINT fair_charges_settled_check CHECK ((settled >= 0)),
    CONSTRAINT fair_charges_tenant_check CHECK ((tenant ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'::text)),
    CONSTRAINT fair_charges_uid_check CHECK ((uid ~ '^[-0-9a-zA-Z]{1,64}$'::text))
);
ALTER TABLE dreamhub.fair_charges OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.fair_charges IS 'IngestJobs that had a slot and have not ended. No tenant reads or writes it.';
COMMENT ON COLUMN dreamhub.fair_charges.cost IS 'Stands for what it will use from here on; 0 while it has no slot.';
COMMENT ON COLUMN dreamhub.fair_charges.settled IS 'What was settled already, as it lost its slot before its end.';
CREATE TABLE dreamhub.index_generations (
    tenant_id text NOT NULL,
    generation integer NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    chunker text NOT NULL,
    active boolean NOT NULL,
    chunks bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT index_generations_dimensions_check CHECK ((dimensions > 0))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.index_generations FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.index_generations OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.index_generations.chunks IS 'Visible chunks; moved in the transactions that show or delete them.';
CREATE TABLE dreamhub.ingest_run_documents (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    document_id text NOT NULL,
    version_id text NOT NULL,
    outcome text NOT NULL,
    chunks integer NOT NULL,
    pages integer NOT NULL,
    tokens bigint NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    finished_at timestamp with time zone DEFAULT now() NOT NULL,
    finding text,
    name_ct bytea,
    CONSTRAINT ingest_run_documents_finding_check CHECK ((finding = ANY (ARRAY['Unread'::text, 'Deleted'::text]))),
    CONSTRAINT ingest_run_documents_outcome_check CHECK ((outcome = ANY (ARRAY['Done'::text, 'Skipped'::text, 'Failed'::text])))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.ingest_run_documents FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.ingest_run_documents OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.ingest_run_documents.finding IS 'What the source told instead of an outcome. Unread: it stands and was not read; Deleted: it is gone.';
COMMENT ON COLUMN dreamhub.ingest_run_documents.name_ct IS 'What people call it, encrypted, where no document can tell.';
CREATE TABLE dreamhub.ingest_runs (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    job text NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    holder text NOT NULL,
    worker_build text NOT NULL,
    progress jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    total bigint DEFAULT 0 NOT NULL,
    weight bigint DEFAULT 0 NOT NULL,
    collected_at timestamp with time zone,
    reported_at timestamp with time zone,
    refills integer DEFAULT 0 NOT NULL
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.ingest_runs FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.ingest_runs OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.ingest_runs.attempt IS 'Of its first worker, for builds that know no other.';
COMMENT ON COLUMN dreamhub.ingest_runs.progress IS 'Counts, ids and reasons; never content.';
COMMENT ON COLUMN dreamhub.ingest_runs.total IS 'Items that it has, as far as they are known.';
COMMENT ON COLUMN dreamhub.ingest_runs.weight IS 'Of all its items together.';
COMMENT ON COLUMN dreamhub.ingest_runs.collected_at IS 'When its source was read to the end: no item comes after that.';
COMMENT ON COLUMN dreamhub.ingest_runs.reported_at IS 'When `progress` was last summed up, by whichever worker came first.';
COMMENT ON COLUMN dreamhub.ingest_runs.refills IS 'How often its stream in Redis lacked items and was filled up again.';
CREATE TABLE dreamhub.job_admissions (
    tenant_id text NOT NULL,
    name text NOT NULL,
    uid text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    reserved_tokens bigint DEFAULT 0 NOT NULL,
    CONSTRAINT job_admissions_name_check CHECK (((length(name) >= 1) AND (length(name) <= 253))),
    CONSTRAINT job_admissions_reserved_tokens_check CHECK ((reserved_tokens >= 0))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.job_admissions FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.job_admissions OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.job_admissions IS 'Places in the queue: one for each IngestJob that has not ended. The API reserves, the operator settles.';
COMMENT ON COLUMN dreamhub.job_admissions.uid IS 'UID of the IngestJob; NULL until the operator has seen it.';
COMMENT ON COLUMN dreamhub.job_admissions.reserved_tokens IS 'Tokens kept for the job; those that it has used are in token_uses and count there.';
CREATE TABLE dreamhub.object_outbox (
    tenant_id text NOT NULL,
    version_id text NOT NULL,
    doomed boolean NOT NULL,
    duplicate_of text,
    due_at timestamp with time zone NOT NULL,
    CONSTRAINT object_outbox_duplicate_of_check CHECK ((duplicate_of ~ '^ver_[0-9a-f]{32}$'::text)),
    CONSTRAINT object_outbox_version_id_check CHECK ((version_id ~ '^ver_[0-9a-f]{32}$'::text))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.object_outbox FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.object_outbox OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.object_outbox IS 'Objects that may be nobody''s: settled when due, unless a version of the id stands.';
COMMENT ON COLUMN dreamhub.object_outbox.doomed IS 'False: bytes may be on their way, and registering the version takes the row away. True: nothing may register it.';
COMMENT ON COLUMN dreamhub.object_outbox.duplicate_of IS 'The version that has the same bytes: its object is replaced by this one when it is lost.';
CREATE TABLE dreamhub.provisioning (
);
ALTER TABLE dreamhub.provisioning OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.provisioning IS 'Empty: locked while a tenant is made or taken away.';
CREATE TABLE dreamhub.quota (
    tenant_id text NOT NULL,
    max_documents bigint,
    max_chunks bigint,
    max_storage bigint,
    max_tokens_day bigint,
    max_tokens_month bigint,
    max_concurrent_jobs bigint,
    max_queued_jobs bigint,
    suspended boolean DEFAULT false NOT NULL,
    documents bigint DEFAULT 0 NOT NULL,
    chunks bigint DEFAULT 0 NOT NULL,
    storage bigint DEFAULT 0 NOT NULL,
    queued_jobs bigint DEFAULT 0 NOT NULL,
    day date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    tokens_day bigint DEFAULT 0 NOT NULL,
    tokens_month bigint DEFAULT 0 NOT NULL
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.quota FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.quota OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.quota IS 'One row: limits (NULL is none) and usage. Written by triggers and dreamhub.set_limits.';
COMMENT ON COLUMN dreamhub.quota.max_concurrent_jobs IS 'Kept for those who ask; the operator starts no more.';
COMMENT ON COLUMN dreamhub.quota.chunks IS 'Stored ones, visible or not: a document that is being replaced counts twice.';
COMMENT ON COLUMN dreamhub.quota.storage IS 'Bytes of originals, of every version.';
COMMENT ON COLUMN dreamhub.quota.day IS 'The UTC day that tokens_day counts, and the month that tokens_month counts.';
CREATE TABLE dreamhub.rekey_runs (
    tenant_id text NOT NULL,
    key_id text NOT NULL,
    total bigint NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT rekey_runs_done_check CHECK ((done >= 0)),
    CONSTRAINT rekey_runs_total_check CHECK ((total >= 0))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.rekey_runs FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.rekey_runs OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.rekey_runs.key_id IS 'The data key under which every row is to be.';
CREATE TABLE dreamhub.run_workers (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    worker integer NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    holder text NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    chunks bigint DEFAULT 0 NOT NULL,
    pages bigint DEFAULT 0 NOT NULL,
    weight bigint DEFAULT 0 NOT NULL,
    report jsonb DEFAULT '{}'::jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    unread bigint DEFAULT 0 NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL,
    CONSTRAINT run_workers_worker_check CHECK ((worker >= 0))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.run_workers FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.run_workers OWNER TO dreamhub_owner;
COMMENT ON COLUMN dreamhub.run_workers.worker IS 'Completion index of the pod.';
COMMENT ON COLUMN dreamhub.run_workers.attempt IS 'Grows with each start; a write of an older attempt is refused.';
COMMENT ON COLUMN dreamhub.run_workers.done IS 'Items that it settled, in all attempts; skipped ones are among them.';
COMMENT ON COLUMN dreamhub.run_workers.weight IS 'Of the items that it settled.';
COMMENT ON COLUMN dreamhub.run_workers.report IS 'What it does now: stage, figures, rates; never content.';
COMMENT ON COLUMN dreamhub.run_workers.updated_at IS 'Its heartbeat: what it holds is its own while it is heard of.';
CREATE TABLE dreamhub.schema_migrations (
    version integer NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    sha256 bytea NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_migrations_kind_check CHECK ((kind = ANY (ARRAY['expand'::text, 'contract'::text])))
);
ALTER TABLE dreamhub.schema_migrations OWNER TO dreamhub_owner;
CREATE TABLE dreamhub.source_checkpoints (
    tenant_id text NOT NULL,
    source_key bytea NOT NULL,
    kind text NOT NULL,
    round bigint DEFAULT 1 NOT NULL,
    state_ct bytea,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT source_checkpoints_kind_check CHECK ((kind = ANY (ARRAY['s3'::text, 'web'::text, 'mail'::text, 'calendar'::text, 'plugin'::text]))),
    CONSTRAINT source_checkpoints_round_check CHECK ((round > 0)),
    CONSTRAINT source_checkpoints_source_key_check CHECK ((octet_length(source_key) = 16))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.source_checkpoints FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.source_checkpoints OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.source_checkpoints IS 'One row for each source upstream: where its next reading starts.';
COMMENT ON COLUMN dreamhub.source_checkpoints.source_key IS 'Keyed hash of what makes it the same source in another IngestJob.';
COMMENT ON COLUMN dreamhub.source_checkpoints.round IS 'Counts complete readings. At the end of one, items that were last seen in an earlier round are gone upstream.';
COMMENT ON COLUMN dreamhub.source_checkpoints.state_ct IS 'The reader''s own state, encrypted. NULL: from the beginning.';
CREATE TABLE dreamhub.source_items (
    tenant_id text NOT NULL,
    source_key bytea NOT NULL,
    item_key bytea NOT NULL,
    revision_ct bytea NOT NULL,
    document_id text NOT NULL,
    round bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT source_items_document_id_check CHECK ((document_id ~ '^doc_[0-9a-f]{32}$'::text)),
    CONSTRAINT source_items_item_key_check CHECK ((octet_length(item_key) = 16)),
    CONSTRAINT source_items_round_check CHECK ((round > 0)),
    CONSTRAINT source_items_source_key_check CHECK ((octet_length(source_key) = 16))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.source_items FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.source_items OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.source_items IS 'Items upstream that are documents here.';
COMMENT ON COLUMN dreamhub.source_items.item_key IS 'Keyed hash of what upstream calls the item.';
COMMENT ON COLUMN dreamhub.source_items.revision_ct IS 'What upstream said of its state when it was taken in, encrypted.';
COMMENT ON COLUMN dreamhub.source_items.round IS 'The round of the source in which it was last seen.';
CREATE TABLE dreamhub.tenant_owners (
    tenant text NOT NULL,
    owner text NOT NULL,
    claimed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_owners_owner_check CHECK ((owner ~ '^[-0-9a-zA-Z]{1,64}$'::text)),
    CONSTRAINT tenant_owners_tenant_check CHECK ((tenant ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'::text))
);
ALTER TABLE dreamhub.tenant_owners OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.tenant_owners IS 'The UID of the Tenant that the stores of this name belong to. No tenant reads or writes it.';
CREATE TABLE dreamhub.term_counts (
    tenant_id text NOT NULL,
    term integer NOT NULL,
    chunks integer NOT NULL
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.term_counts FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.term_counts OWNER TO dreamhub_owner;
CREATE TABLE dreamhub.token_uses (
    tenant_id text NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    day date DEFAULT ((clock_timestamp() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    model text NOT NULL,
    purpose text NOT NULL,
    tokens bigint NOT NULL,
    job text,
    reserved boolean DEFAULT false NOT NULL,
    settles uuid,
    prompt text,
    CONSTRAINT token_uses_check CHECK (((tokens >= 0) OR (settles IS NOT NULL))),
    CONSTRAINT token_uses_check1 CHECK (((NOT reserved) OR (settles IS NULL))),
    CONSTRAINT token_uses_job_check CHECK ((length(job) <= 100)),
    CONSTRAINT token_uses_model_check CHECK (((length(model) >= 1) AND (length(model) <= 200))),
    CONSTRAINT token_uses_prompt_check CHECK (((length(prompt) >= 1) AND (length(prompt) <= 100))),
    CONSTRAINT token_uses_purpose_check CHECK ((purpose = ANY (ARRAY['ingest'::text, 'search'::text, 'answer'::text])))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.token_uses FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.token_uses OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.token_uses IS 'A ledger: rows are added, never changed. The sum of `tokens` is what was used.';
COMMENT ON COLUMN dreamhub.token_uses.day IS 'The UTC day that the row counts for; of a settlement, its reservation''s.';
COMMENT ON COLUMN dreamhub.token_uses.job IS 'UID of the IngestJob, where there is one.';
COMMENT ON COLUMN dreamhub.token_uses.reserved IS 'Taken before a call whose cost is not known yet. Without a settlement it stands: the call may have been made.';
COMMENT ON COLUMN dreamhub.token_uses.settles IS 'The reservation whose difference to the true cost `tokens` is here; once for each.';
COMMENT ON COLUMN dreamhub.token_uses.prompt IS 'Version of the text around what was sent: of instructions, or of what is embedded. NULL in entries before there were any.';
CREATE TABLE dreamhub.work_items (
    tenant_id text NOT NULL,
    uid text NOT NULL,
    version_id text NOT NULL,
    document_id text NOT NULL,
    "position" bigint NOT NULL,
    state text DEFAULT 'Queued'::text NOT NULL,
    size bigint NOT NULL,
    weight bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    deliveries integer DEFAULT 0 NOT NULL,
    stored integer DEFAULT 0 NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    replayed_by text,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT work_items_size_check CHECK ((size >= 0)),
    CONSTRAINT work_items_state_check CHECK ((state = ANY (ARRAY['Queued'::text, 'Done'::text, 'Skipped'::text, 'Failed'::text]))),
    CONSTRAINT work_items_weight_check CHECK ((weight >= 0))
)
PARTITION BY LIST (tenant_id);
ALTER TABLE ONLY dreamhub.work_items FORCE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.work_items OWNER TO dreamhub_owner;
COMMENT ON TABLE dreamhub.work_items IS 'What runs have to do. A Failed one is a dead letter until it is replayed or purged.';
COMMENT ON COLUMN dreamhub.work_items.uid IS 'UID of the IngestJob.';
COMMENT ON COLUMN dreamhub.work_items."position" IS 'Order within the run.';
COMMENT ON COLUMN dreamhub.work_items.size IS 'Bytes of the original.';
COMMENT ON COLUMN dreamhub.work_items.weight IS 'Its share in the progress of the run: estimated tokens, and a constant for each.';
COMMENT ON COLUMN dreamhub.work_items.attempts IS 'How often a passing error was met.';
COMMENT ON COLUMN dreamhub.work_items.deliveries IS 'How many workers in a row began it, stored nothing and were not heard of again.';
COMMENT ON COLUMN dreamhub.work_items.stored IS 'Checkpoint of its landing when the last worker began it.';
COMMENT ON COLUMN dreamhub.work_items.replayed_by IS 'Name of the IngestJob that takes up a dead letter.';
CREATE TABLE t_snapshot.chunks (
    landing uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ordinal integer NOT NULL,
    generation integer NOT NULL,
    char_start integer NOT NULL,
    char_end integer NOT NULL,
    tokens integer NOT NULL,
    embedding public.halfvec NOT NULL,
    bm25 public.sparsevec NOT NULL,
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    document_id text NOT NULL,
    version_id text NOT NULL,
    worker_build text NOT NULL,
    strategy text NOT NULL,
    terms integer[] NOT NULL,
    body_ct bytea NOT NULL,
    page integer,
    unit text,
    CONSTRAINT chunks_unit_check CHECK ((unit = ANY (ARRAY['page'::text, 'slide'::text, 'sheet'::text, 'row'::text, 'line'::text])))
);
ALTER TABLE ONLY t_snapshot.chunks ALTER COLUMN embedding SET STORAGE MAIN;
ALTER TABLE ONLY t_snapshot.chunks ALTER COLUMN bm25 SET STORAGE MAIN;
ALTER TABLE ONLY t_snapshot.chunks ALTER COLUMN terms SET STORAGE EXTERNAL;
ALTER TABLE ONLY t_snapshot.chunks ALTER COLUMN body_ct SET STORAGE EXTERNAL;
ALTER TABLE t_snapshot.chunks OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.chunks.bm25 IS 'The term-frequency part of BM25 at the same hashes.';
COMMENT ON COLUMN t_snapshot.chunks.terms IS 'Keyed hashes of the words.';
COMMENT ON COLUMN t_snapshot.chunks.body_ct IS 'Text, title and heading path, encrypted; landing and ordinal are the associated data.';
COMMENT ON COLUMN t_snapshot.chunks.unit IS 'What `page` counts. NULL beside a number: a page, of a chunk stored before there were others.';
CREATE TABLE t_snapshot.document_versions (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    id text NOT NULL,
    document_id text NOT NULL,
    number integer NOT NULL,
    media_type text NOT NULL,
    content_key bytea NOT NULL,
    size_bytes bigint NOT NULL,
    state text DEFAULT 'uploaded'::text NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    holder text,
    landing uuid,
    landing_build text,
    landing_generation integer,
    chunks_stored integer DEFAULT 0 NOT NULL,
    shown uuid,
    generation integer,
    worker_build text,
    pages integer,
    chunks integer DEFAULT 0 NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    activated_at timestamp with time zone,
    holder_run text,
    holder_attempt integer,
    holder_worker integer,
    CONSTRAINT document_versions_number_check CHECK ((number > 0)),
    CONSTRAINT document_versions_size_bytes_check CHECK ((size_bytes >= 0)),
    CONSTRAINT document_versions_state_check CHECK ((state = ANY (ARRAY['uploaded'::text, 'landing'::text, 'active'::text, 'failed'::text])))
);
ALTER TABLE t_snapshot.document_versions OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.document_versions.content_key IS 'Keyed hash of the content''s SHA-256.';
COMMENT ON COLUMN t_snapshot.document_versions.fence IS 'Grows with each claim; a write with an older one is refused.';
COMMENT ON COLUMN t_snapshot.document_versions.landing IS 'The set of chunks being written; readers leave it out.';
COMMENT ON COLUMN t_snapshot.document_versions.chunks_stored IS 'Checkpoint of the landing: the next ordinal.';
COMMENT ON COLUMN t_snapshot.document_versions.shown IS 'The set of chunks that readers see.';
COMMENT ON COLUMN t_snapshot.document_versions.holder_run IS 'UID of the run whose claim this is, with its attempt: while that attempt lives, another run waits.';
COMMENT ON COLUMN t_snapshot.document_versions.holder_worker IS 'Which worker of holder_run; NULL in claims of earlier builds.';
CREATE TABLE t_snapshot.documents (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    id text NOT NULL,
    meta_ct bytea NOT NULL,
    name_key bytea NOT NULL,
    tag_keys bytea[] NOT NULL,
    source text NOT NULL,
    active_version text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT documents_source_check CHECK ((source = ANY (ARRAY['upload'::text, 'inline'::text, 's3'::text, 'web'::text, 'mail'::text, 'calendar'::text, 'plugin'::text])))
);
ALTER TABLE t_snapshot.documents OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.documents.meta_ct IS 'Name and tags, encrypted; the document id is the associated data.';
COMMENT ON COLUMN t_snapshot.documents.name_key IS 'Keyed hash of the name: the same name is the same document.';
COMMENT ON COLUMN t_snapshot.documents.tag_keys IS 'Keyed hashes of the tags, for filters.';
CREATE TABLE t_snapshot.index_generations (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    generation integer NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    chunker text NOT NULL,
    active boolean NOT NULL,
    chunks bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT index_generations_dimensions_check CHECK ((dimensions > 0))
);
ALTER TABLE t_snapshot.index_generations OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.index_generations.chunks IS 'Visible chunks; moved in the transactions that show or delete them.';
CREATE TABLE t_snapshot.ingest_run_documents (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    uid text NOT NULL,
    document_id text NOT NULL,
    version_id text NOT NULL,
    outcome text NOT NULL,
    chunks integer NOT NULL,
    pages integer NOT NULL,
    tokens bigint NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    finished_at timestamp with time zone DEFAULT now() NOT NULL,
    finding text,
    name_ct bytea,
    CONSTRAINT ingest_run_documents_finding_check CHECK ((finding = ANY (ARRAY['Unread'::text, 'Deleted'::text]))),
    CONSTRAINT ingest_run_documents_outcome_check CHECK ((outcome = ANY (ARRAY['Done'::text, 'Skipped'::text, 'Failed'::text])))
);
ALTER TABLE t_snapshot.ingest_run_documents OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.ingest_run_documents.finding IS 'What the source told instead of an outcome. Unread: it stands and was not read; Deleted: it is gone.';
COMMENT ON COLUMN t_snapshot.ingest_run_documents.name_ct IS 'What people call it, encrypted, where no document can tell.';
CREATE TABLE t_snapshot.ingest_runs (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    uid text NOT NULL,
    job text NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    holder text NOT NULL,
    worker_build text NOT NULL,
    progress jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    total bigint DEFAULT 0 NOT NULL,
    weight bigint DEFAULT 0 NOT NULL,
    collected_at timestamp with time zone,
    reported_at timestamp with time zone,
    refills integer DEFAULT 0 NOT NULL
);
ALTER TABLE t_snapshot.ingest_runs OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.ingest_runs.attempt IS 'Of its first worker, for builds that know no other.';
COMMENT ON COLUMN t_snapshot.ingest_runs.progress IS 'Counts, ids and reasons; never content.';
COMMENT ON COLUMN t_snapshot.ingest_runs.total IS 'Items that it has, as far as they are known.';
COMMENT ON COLUMN t_snapshot.ingest_runs.weight IS 'Of all its items together.';
COMMENT ON COLUMN t_snapshot.ingest_runs.collected_at IS 'When its source was read to the end: no item comes after that.';
COMMENT ON COLUMN t_snapshot.ingest_runs.reported_at IS 'When `progress` was last summed up, by whichever worker came first.';
COMMENT ON COLUMN t_snapshot.ingest_runs.refills IS 'How often its stream in Redis lacked items and was filled up again.';
CREATE TABLE t_snapshot.job_admissions (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    name text NOT NULL,
    uid text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    reserved_tokens bigint DEFAULT 0 NOT NULL,
    CONSTRAINT job_admissions_name_check CHECK (((length(name) >= 1) AND (length(name) <= 253))),
    CONSTRAINT job_admissions_reserved_tokens_check CHECK ((reserved_tokens >= 0))
);
ALTER TABLE t_snapshot.job_admissions OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.job_admissions.uid IS 'UID of the IngestJob; NULL until the operator has seen it.';
COMMENT ON COLUMN t_snapshot.job_admissions.reserved_tokens IS 'Tokens kept for the job; those that it has used are in token_uses and count there.';
CREATE TABLE t_snapshot.object_outbox (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    version_id text NOT NULL,
    doomed boolean NOT NULL,
    duplicate_of text,
    due_at timestamp with time zone NOT NULL,
    CONSTRAINT object_outbox_duplicate_of_check CHECK ((duplicate_of ~ '^ver_[0-9a-f]{32}$'::text)),
    CONSTRAINT object_outbox_version_id_check CHECK ((version_id ~ '^ver_[0-9a-f]{32}$'::text))
);
ALTER TABLE t_snapshot.object_outbox OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.object_outbox.doomed IS 'False: bytes may be on their way, and registering the version takes the row away. True: nothing may register it.';
COMMENT ON COLUMN t_snapshot.object_outbox.duplicate_of IS 'The version that has the same bytes: its object is replaced by this one when it is lost.';
CREATE TABLE t_snapshot.quota (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    max_documents bigint,
    max_chunks bigint,
    max_storage bigint,
    max_tokens_day bigint,
    max_tokens_month bigint,
    max_concurrent_jobs bigint,
    max_queued_jobs bigint,
    suspended boolean DEFAULT false NOT NULL,
    documents bigint DEFAULT 0 NOT NULL,
    chunks bigint DEFAULT 0 NOT NULL,
    storage bigint DEFAULT 0 NOT NULL,
    queued_jobs bigint DEFAULT 0 NOT NULL,
    day date DEFAULT ((now() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    tokens_day bigint DEFAULT 0 NOT NULL,
    tokens_month bigint DEFAULT 0 NOT NULL
);
ALTER TABLE t_snapshot.quota OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.quota.max_concurrent_jobs IS 'Kept for those who ask; the operator starts no more.';
COMMENT ON COLUMN t_snapshot.quota.chunks IS 'Stored ones, visible or not: a document that is being replaced counts twice.';
COMMENT ON COLUMN t_snapshot.quota.storage IS 'Bytes of originals, of every version.';
COMMENT ON COLUMN t_snapshot.quota.day IS 'The UTC day that tokens_day counts, and the month that tokens_month counts.';
CREATE TABLE t_snapshot.rekey_runs (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    key_id text NOT NULL,
    total bigint NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT rekey_runs_done_check CHECK ((done >= 0)),
    CONSTRAINT rekey_runs_total_check CHECK ((total >= 0))
);
ALTER TABLE t_snapshot.rekey_runs OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.rekey_runs.key_id IS 'The data key under which every row is to be.';
CREATE TABLE t_snapshot.run_workers (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    uid text NOT NULL,
    worker integer NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    holder text NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    chunks bigint DEFAULT 0 NOT NULL,
    pages bigint DEFAULT 0 NOT NULL,
    weight bigint DEFAULT 0 NOT NULL,
    report jsonb DEFAULT '{}'::jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    unread bigint DEFAULT 0 NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL,
    CONSTRAINT run_workers_worker_check CHECK ((worker >= 0))
);
ALTER TABLE t_snapshot.run_workers OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.run_workers.worker IS 'Completion index of the pod.';
COMMENT ON COLUMN t_snapshot.run_workers.attempt IS 'Grows with each start; a write of an older attempt is refused.';
COMMENT ON COLUMN t_snapshot.run_workers.done IS 'Items that it settled, in all attempts; skipped ones are among them.';
COMMENT ON COLUMN t_snapshot.run_workers.weight IS 'Of the items that it settled.';
COMMENT ON COLUMN t_snapshot.run_workers.report IS 'What it does now: stage, figures, rates; never content.';
COMMENT ON COLUMN t_snapshot.run_workers.updated_at IS 'Its heartbeat: what it holds is its own while it is heard of.';
CREATE TABLE t_snapshot.source_checkpoints (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    source_key bytea NOT NULL,
    kind text NOT NULL,
    round bigint DEFAULT 1 NOT NULL,
    state_ct bytea,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT source_checkpoints_kind_check CHECK ((kind = ANY (ARRAY['s3'::text, 'web'::text, 'mail'::text, 'calendar'::text, 'plugin'::text]))),
    CONSTRAINT source_checkpoints_round_check CHECK ((round > 0)),
    CONSTRAINT source_checkpoints_source_key_check CHECK ((octet_length(source_key) = 16))
);
ALTER TABLE t_snapshot.source_checkpoints OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.source_checkpoints.source_key IS 'Keyed hash of what makes it the same source in another IngestJob.';
COMMENT ON COLUMN t_snapshot.source_checkpoints.round IS 'Counts complete readings. At the end of one, items that were last seen in an earlier round are gone upstream.';
COMMENT ON COLUMN t_snapshot.source_checkpoints.state_ct IS 'The reader''s own state, encrypted. NULL: from the beginning.';
CREATE TABLE t_snapshot.source_items (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    source_key bytea NOT NULL,
    item_key bytea NOT NULL,
    revision_ct bytea NOT NULL,
    document_id text NOT NULL,
    round bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT source_items_document_id_check CHECK ((document_id ~ '^doc_[0-9a-f]{32}$'::text)),
    CONSTRAINT source_items_item_key_check CHECK ((octet_length(item_key) = 16)),
    CONSTRAINT source_items_round_check CHECK ((round > 0)),
    CONSTRAINT source_items_source_key_check CHECK ((octet_length(source_key) = 16))
);
ALTER TABLE t_snapshot.source_items OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.source_items.item_key IS 'Keyed hash of what upstream calls the item.';
COMMENT ON COLUMN t_snapshot.source_items.revision_ct IS 'What upstream said of its state when it was taken in, encrypted.';
COMMENT ON COLUMN t_snapshot.source_items.round IS 'The round of the source in which it was last seen.';
CREATE TABLE t_snapshot.term_counts (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    term integer NOT NULL,
    chunks integer NOT NULL
);
ALTER TABLE t_snapshot.term_counts OWNER TO dreamhub_owner;
CREATE TABLE t_snapshot.token_uses (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    day date DEFAULT ((clock_timestamp() AT TIME ZONE 'UTC'::text))::date NOT NULL,
    model text NOT NULL,
    purpose text NOT NULL,
    tokens bigint NOT NULL,
    job text,
    reserved boolean DEFAULT false NOT NULL,
    settles uuid,
    prompt text,
    CONSTRAINT token_uses_check CHECK (((tokens >= 0) OR (settles IS NOT NULL))),
    CONSTRAINT token_uses_check1 CHECK (((NOT reserved) OR (settles IS NULL))),
    CONSTRAINT token_uses_job_check CHECK ((length(job) <= 100)),
    CONSTRAINT token_uses_model_check CHECK (((length(model) >= 1) AND (length(model) <= 200))),
    CONSTRAINT token_uses_prompt_check CHECK (((length(prompt) >= 1) AND (length(prompt) <= 100))),
    CONSTRAINT token_uses_purpose_check CHECK ((purpose = ANY (ARRAY['ingest'::text, 'search'::text, 'answer'::text])))
);
ALTER TABLE t_snapshot.token_uses OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.token_uses.day IS 'The UTC day that the row counts for; of a settlement, its reservation''s.';
COMMENT ON COLUMN t_snapshot.token_uses.job IS 'UID of the IngestJob, where there is one.';
COMMENT ON COLUMN t_snapshot.token_uses.reserved IS 'Taken before a call whose cost is not known yet. Without a settlement it stands: the call may have been made.';
COMMENT ON COLUMN t_snapshot.token_uses.settles IS 'The reservation whose difference to the true cost `tokens` is here; once for each.';
COMMENT ON COLUMN t_snapshot.token_uses.prompt IS 'Version of the text around what was sent: of instructions, or of what is embedded. NULL in entries before there were any.';
CREATE TABLE t_snapshot.work_items (
    tenant_id text DEFAULT 'snapshot'::text NOT NULL,
    uid text NOT NULL,
    version_id text NOT NULL,
    document_id text NOT NULL,
    "position" bigint NOT NULL,
    state text DEFAULT 'Queued'::text NOT NULL,
    size bigint NOT NULL,
    weight bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    deliveries integer DEFAULT 0 NOT NULL,
    stored integer DEFAULT 0 NOT NULL,
    error_class text,
    error_reason text,
    error_message text,
    replayed_by text,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT work_items_size_check CHECK ((size >= 0)),
    CONSTRAINT work_items_state_check CHECK ((state = ANY (ARRAY['Queued'::text, 'Done'::text, 'Skipped'::text, 'Failed'::text]))),
    CONSTRAINT work_items_weight_check CHECK ((weight >= 0))
);
ALTER TABLE t_snapshot.work_items OWNER TO dreamhub_owner;
COMMENT ON COLUMN t_snapshot.work_items.uid IS 'UID of the IngestJob.';
COMMENT ON COLUMN t_snapshot.work_items."position" IS 'Order within the run.';
COMMENT ON COLUMN t_snapshot.work_items.size IS 'Bytes of the original.';
COMMENT ON COLUMN t_snapshot.work_items.weight IS 'Its share in the progress of the run: estimated tokens, and a constant for each.';
COMMENT ON COLUMN t_snapshot.work_items.attempts IS 'How often a passing error was met.';
COMMENT ON COLUMN t_snapshot.work_items.deliveries IS 'How many workers in a row began it, stored nothing and were not heard of again.';
COMMENT ON COLUMN t_snapshot.work_items.stored IS 'Checkpoint of its landing when the last worker began it.';
COMMENT ON COLUMN t_snapshot.work_items.replayed_by IS 'Name of the IngestJob that takes up a dead letter.';
ALTER TABLE ONLY dreamhub.chunks ATTACH PARTITION t_snapshot.chunks FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.document_versions ATTACH PARTITION t_snapshot.document_versions FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.documents ATTACH PARTITION t_snapshot.documents FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.index_generations ATTACH PARTITION t_snapshot.index_generations FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.ingest_run_documents ATTACH PARTITION t_snapshot.ingest_run_documents FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.ingest_runs ATTACH PARTITION t_snapshot.ingest_runs FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.job_admissions ATTACH PARTITION t_snapshot.job_admissions FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.object_outbox ATTACH PARTITION t_snapshot.object_outbox FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.quota ATTACH PARTITION t_snapshot.quota FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.rekey_runs ATTACH PARTITION t_snapshot.rekey_runs FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.run_workers ATTACH PARTITION t_snapshot.run_workers FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.source_checkpoints ATTACH PARTITION t_snapshot.source_checkpoints FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.source_items ATTACH PARTITION t_snapshot.source_items FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.term_counts ATTACH PARTITION t_snapshot.term_counts FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.token_uses ATTACH PARTITION t_snapshot.token_uses FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.work_items ATTACH PARTITION t_snapshot.work_items FOR VALUES IN ('snapshot');
ALTER TABLE ONLY dreamhub.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (landing, ordinal, tenant_id);
ALTER TABLE ONLY dreamhub.document_versions
    ADD CONSTRAINT document_versions_document_id_number_tenant_id_key UNIQUE (document_id, number, tenant_id);
ALTER TABLE ONLY dreamhub.document_versions
    ADD CONSTRAINT document_versions_pkey PRIMARY KEY (id, tenant_id);
ALTER TABLE ONLY dreamhub.documents
    ADD CONSTRAINT documents_name_key_tenant_id_key UNIQUE (name_key, tenant_id);
ALTER TABLE ONLY dreamhub.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (id, tenant_id);
ALTER TABLE ONLY dreamhub.fair_balances
    ADD CONSTRAINT fair_balances_pkey PRIMARY KEY (tenant);
ALTER TABLE ONLY dreamhub.fair_charges
    ADD CONSTRAINT fair_charges_pkey PRIMARY KEY (uid);
ALTER TABLE ONLY dreamhub.index_generations
    ADD CONSTRAINT index_generations_pkey PRIMARY KEY (generation, tenant_id);
ALTER TABLE ONLY dreamhub.ingest_run_documents
    ADD CONSTRAINT ingest_run_documents_pkey PRIMARY KEY (uid, document_id, tenant_id);
ALTER TABLE ONLY dreamhub.ingest_runs
    ADD CONSTRAINT ingest_runs_pkey PRIMARY KEY (uid, tenant_id);
ALTER TABLE ONLY dreamhub.job_admissions
    ADD CONSTRAINT job_admissions_pkey PRIMARY KEY (name, tenant_id);
ALTER TABLE ONLY dreamhub.object_outbox
    ADD CONSTRAINT object_outbox_pkey PRIMARY KEY (version_id, tenant_id);
ALTER TABLE ONLY dreamhub.quota
    ADD CONSTRAINT quota_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY dreamhub.rekey_runs
    ADD CONSTRAINT rekey_runs_pkey PRIMARY KEY (key_id, tenant_id);
ALTER TABLE ONLY dreamhub.run_workers
    ADD CONSTRAINT run_workers_pkey PRIMARY KEY (uid, worker, tenant_id);
ALTER TABLE ONLY dreamhub.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY dreamhub.source_checkpoints
    ADD CONSTRAINT source_checkpoints_pkey PRIMARY KEY (source_key, tenant_id);
ALTER TABLE ONLY dreamhub.source_items
    ADD CONSTRAINT source_items_pkey PRIMARY KEY (source_key, item_key, tenant_id);
ALTER TABLE ONLY dreamhub.tenant_owners
    ADD CONSTRAINT tenant_owners_pkey PRIMARY KEY (tenant);
ALTER TABLE ONLY dreamhub.term_counts
    ADD CONSTRAINT term_counts_pkey PRIMARY KEY (term, tenant_id);
ALTER TABLE ONLY dreamhub.token_uses
    ADD CONSTRAINT token_uses_pkey PRIMARY KEY (id, tenant_id);
ALTER TABLE ONLY dreamhub.work_items
    ADD CONSTRAINT work_items_pkey PRIMARY KEY (uid, version_id, tenant_id);
ALTER TABLE ONLY t_snapshot.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (landing, ordinal, tenant_id);
ALTER TABLE ONLY t_snapshot.document_versions
    ADD CONSTRAINT document_versions_document_id_number_tenant_id_key UNIQUE (document_id, number, tenant_id);
ALTER TABLE ONLY t_snapshot.document_versions
    ADD CONSTRAINT document_versions_pkey PRIMARY KEY (id, tenant_id);
ALTER TABLE ONLY t_snapshot.documents
    ADD CONSTRAINT documents_name_key_tenant_id_key UNIQUE (name_key, tenant_id);
ALTER TABLE ONLY t_snapshot.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (id, tenant_id);
ALTER TABLE ONLY t_snapshot.index_generations
    ADD CONSTRAINT index_generations_pkey PRIMARY KEY (generation, tenant_id);
ALTER TABLE ONLY t_snapshot.ingest_run_documents
    ADD CONSTRAINT ingest_run_documents_pkey PRIMARY KEY (uid, document_id, tenant_id);
ALTER TABLE ONLY t_snapshot.ingest_runs
    ADD CONSTRAINT ingest_runs_pkey PRIMARY KEY (uid, tenant_id);
ALTER TABLE ONLY t_snapshot.job_admissions
    ADD CONSTRAINT job_admissions_pkey PRIMARY KEY (name, tenant_id);
ALTER TABLE ONLY t_snapshot.object_outbox
    ADD CONSTRAINT object_outbox_pkey PRIMARY KEY (version_id, tenant_id);
ALTER TABLE ONLY t_snapshot.quota
    ADD CONSTRAINT quota_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY t_snapshot.rekey_runs
    ADD CONSTRAINT rekey_runs_pkey PRIMARY KEY (key_id, tenant_id);
ALTER TABLE ONLY t_snapshot.run_workers
    ADD CONSTRAINT run_workers_pkey PRIMARY KEY (uid, worker, tenant_id);
ALTER TABLE ONLY t_snapshot.source_checkpoints
    ADD CONSTRAINT source_checkpoints_pkey PRIMARY KEY (source_key, tenant_id);
ALTER TABLE ONLY t_snapshot.source_items
    ADD CONSTRAINT source_items_pkey PRIMARY KEY (source_key, item_key, tenant_id);
ALTER TABLE ONLY t_snapshot.term_counts
    ADD CONSTRAINT term_counts_pkey PRIMARY KEY (term, tenant_id);
ALTER TABLE ONLY t_snapshot.token_uses
    ADD CONSTRAINT token_uses_pkey PRIMARY KEY (id, tenant_id);
ALTER TABLE ONLY t_snapshot.work_items
    ADD CONSTRAINT work_items_pkey PRIMARY KEY (uid, version_id, tenant_id);
CREATE INDEX chunks_terms_idx ON ONLY dreamhub.chunks USING gin (terms) WITH (gin_pending_list_limit='1024');
CREATE INDEX document_versions_landing_idx ON ONLY dreamhub.document_versions USING btree (landing) WHERE (landing IS NOT NULL);
CREATE INDEX documents_tag_keys_idx ON ONLY dreamhub.documents USING gin (tag_keys);
CREATE UNIQUE INDEX index_generations_tenant_id_idx ON ONLY dreamhub.index_generations USING btree (tenant_id) WHERE active;
CREATE INDEX ingest_run_documents_finished_at_idx ON ONLY dreamhub.ingest_run_documents USING btree (finished_at DESC) WHERE ((outcome = 'Done'::text) AND (tokens > 0));
CREATE INDEX object_outbox_due_at_idx ON ONLY dreamhub.object_outbox USING btree (due_at);
CREATE INDEX source_items_document_id_idx ON ONLY dreamhub.source_items USING btree (document_id);
CREATE INDEX token_uses_day_idx ON ONLY dreamhub.token_uses USING brin (day);
CREATE INDEX token_uses_job_tokens_idx ON ONLY dreamhub.token_uses USING btree (job) INCLUDE (tokens) WHERE (job IS NOT NULL);
CREATE UNIQUE INDEX token_uses_settles_tenant_id_idx ON ONLY dreamhub.token_uses USING btree (settles, tenant_id) WHERE (settles IS NOT NULL);
CREATE INDEX work_items_settled_at_uid_version_id_idx ON ONLY dreamhub.work_items USING btree (settled_at, uid, version_id) WHERE (state = 'Failed'::text);
CREATE INDEX work_items_uid_position_idx ON ONLY dreamhub.work_items USING btree (uid, "position") WHERE (state = 'Queued'::text);
CREATE INDEX work_items_uid_position_idx1 ON ONLY dreamhub.work_items USING btree (uid, "position") WHERE (error_reason IS NOT NULL);
CREATE INDEX chunks_terms_idx ON t_snapshot.chunks USING gin (terms) WITH (gin_pending_list_limit='1024');
CREATE INDEX document_versions_landing_idx ON t_snapshot.document_versions USING btree (landing) WHERE (landing IS NOT NULL);
CREATE INDEX documents_tag_keys_idx ON t_snapshot.documents USING gin (tag_keys);
CREATE UNIQUE INDEX index_generations_tenant_id_idx ON t_snapshot.index_generations USING btree (tenant_id) WHERE active;
CREATE INDEX ingest_run_documents_finished_at_idx ON t_snapshot.ingest_run_documents USING btree (finished_at DESC) WHERE ((outcome = 'Done'::text) AND (tokens > 0));
CREATE INDEX object_outbox_due_at_idx ON t_snapshot.object_outbox USING btree (due_at);
CREATE INDEX source_items_document_id_idx ON t_snapshot.source_items USING btree (document_id);
CREATE INDEX token_uses_day_idx ON t_snapshot.token_uses USING brin (day);
CREATE INDEX token_uses_job_tokens_idx ON t_snapshot.token_uses USING btree (job) INCLUDE (tokens) WHERE (job IS NOT NULL);
CREATE UNIQUE INDEX token_uses_settles_tenant_id_idx ON t_snapshot.token_uses USING btree (settles, tenant_id) WHERE (settles IS NOT NULL);
CREATE INDEX work_items_settled_at_uid_version_id_idx ON t_snapshot.work_items USING btree (settled_at, uid, version_id) WHERE (state = 'Failed'::text);
CREATE INDEX work_items_uid_position_idx ON t_snapshot.work_items USING btree (uid, "position") WHERE (state = 'Queued'::text);
CREATE INDEX work_items_uid_position_idx1 ON t_snapshot.work_items USING btree (uid, "position") WHERE (error_reason IS NOT NULL);
ALTER INDEX dreamhub.chunks_pkey ATTACH PARTITION t_snapshot.chunks_pkey;
ALTER INDEX dreamhub.chunks_terms_idx ATTACH PARTITION t_snapshot.chunks_terms_idx;
ALTER INDEX dreamhub.document_versions_document_id_number_tenant_id_key ATTACH PARTITION t_snapshot.document_versions_document_id_number_tenant_id_key;
ALTER INDEX dreamhub.document_versions_landing_idx ATTACH PARTITION t_snapshot.document_versions_landing_idx;
ALTER INDEX dreamhub.document_versions_pkey ATTACH PARTITION t_snapshot.document_versions_pkey;
ALTER INDEX dreamhub.documents_name_key_tenant_id_key ATTACH PARTITION t_snapshot.documents_name_key_tenant_id_key;
ALTER INDEX dreamhub.documents_pkey ATTACH PARTITION t_snapshot.documents_pkey;
ALTER INDEX dreamhub.documents_tag_keys_idx ATTACH PARTITION t_snapshot.documents_tag_keys_idx;
ALTER INDEX dreamhub.index_generations_pkey ATTACH PARTITION t_snapshot.index_generations_pkey;
ALTER INDEX dreamhub.index_generations_tenant_id_idx ATTACH PARTITION t_snapshot.index_generations_tenant_id_idx;
ALTER INDEX dreamhub.ingest_run_documents_finished_at_idx ATTACH PARTITION t_snapshot.ingest_run_documents_finished_at_idx;
ALTER INDEX dreamhub.ingest_run_documents_pkey ATTACH PARTITION t_snapshot.ingest_run_documents_pkey;
ALTER INDEX dreamhub.ingest_runs_pkey ATTACH PARTITION t_snapshot.ingest_runs_pkey;
ALTER INDEX dreamhub.job_admissions_pkey ATTACH PARTITION t_snapshot.job_admissions_pkey;
ALTER INDEX dreamhub.object_outbox_due_at_idx ATTACH PARTITION t_snapshot.object_outbox_due_at_idx;
ALTER INDEX dreamhub.object_outbox_pkey ATTACH PARTITION t_snapshot.object_outbox_pkey;
ALTER INDEX dreamhub.quota_pkey ATTACH PARTITION t_snapshot.quota_pkey;
ALTER INDEX dreamhub.rekey_runs_pkey ATTACH PARTITION t_snapshot.rekey_runs_pkey;
ALTER INDEX dreamhub.run_workers_pkey ATTACH PARTITION t_snapshot.run_workers_pkey;
ALTER INDEX dreamhub.source_checkpoints_pkey ATTACH PARTITION t_snapshot.source_checkpoints_pkey;
ALTER INDEX dreamhub.source_items_document_id_idx ATTACH PARTITION t_snapshot.source_items_document_id_idx;
ALTER INDEX dreamhub.source_items_pkey ATTACH PARTITION t_snapshot.source_items_pkey;
ALTER INDEX dreamhub.term_counts_pkey ATTACH PARTITION t_snapshot.term_counts_pkey;
ALTER INDEX dreamhub.token_uses_day_idx ATTACH PARTITION t_snapshot.token_uses_day_idx;
ALTER INDEX dreamhub.token_uses_job_tokens_idx ATTACH PARTITION t_snapshot.token_uses_job_tokens_idx;
ALTER INDEX dreamhub.token_uses_pkey ATTACH PARTITION t_snapshot.token_uses_pkey;
ALTER INDEX dreamhub.token_uses_settles_tenant_id_idx ATTACH PARTITION t_snapshot.token_uses_settles_tenant_id_idx;
ALTER INDEX dreamhub.work_items_pkey ATTACH PARTITION t_snapshot.work_items_pkey;
ALTER INDEX dreamhub.work_items_settled_at_uid_version_id_idx ATTACH PARTITION t_snapshot.work_items_settled_at_uid_version_id_idx;
ALTER INDEX dreamhub.work_items_uid_position_idx ATTACH PARTITION t_snapshot.work_items_uid_position_idx;
ALTER INDEX dreamhub.work_items_uid_position_idx1 ATTACH PARTITION t_snapshot.work_items_uid_position_idx1;
CREATE TRIGGER quota_delete AFTER DELETE ON t_snapshot.chunks REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_rows('chunks');
CREATE TRIGGER quota_delete AFTER DELETE ON t_snapshot.document_versions REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_storage();
CREATE TRIGGER quota_delete AFTER DELETE ON t_snapshot.documents REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_rows('documents');
CREATE TRIGGER quota_delete AFTER DELETE ON t_snapshot.job_admissions REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_rows('queued_jobs');
CREATE TRIGGER quota_guard BEFORE INSERT OR DELETE ON t_snapshot.job_admissions FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.guard_admissions();
CREATE TRIGGER quota_insert AFTER INSERT ON t_snapshot.chunks REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_rows('chunks');
CREATE TRIGGER quota_insert AFTER INSERT ON t_snapshot.document_versions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_storage();
CREATE TRIGGER quota_insert AFTER INSERT ON t_snapshot.documents REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_rows('documents');
CREATE TRIGGER quota_insert AFTER INSERT ON t_snapshot.job_admissions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_rows('queued_jobs');
CREATE TRIGGER quota_insert AFTER INSERT ON t_snapshot.token_uses REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.count_tokens();
CREATE TRIGGER quota_resize BEFORE UPDATE OF size_bytes ON t_snapshot.document_versions FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.refuse_resize();
CREATE TRIGGER quota_settle BEFORE INSERT ON t_snapshot.token_uses FOR EACH ROW WHEN ((new.settles IS NOT NULL)) EXECUTE FUNCTION dreamhub.check_settlement();
ALTER TABLE ONLY t_snapshot.document_versions
    ADD CONSTRAINT document_versions_document_fkey FOREIGN KEY (document_id, tenant_id) REFERENCES t_snapshot.documents(id, tenant_id);
ALTER TABLE ONLY t_snapshot.ingest_run_documents
    ADD CONSTRAINT ingest_run_documents_run_fkey FOREIGN KEY (uid, tenant_id) REFERENCES t_snapshot.ingest_runs(uid, tenant_id) ON DELETE CASCADE;
ALTER TABLE ONLY t_snapshot.run_workers
    ADD CONSTRAINT run_workers_run_fkey FOREIGN KEY (uid, tenant_id) REFERENCES t_snapshot.ingest_runs(uid, tenant_id) ON DELETE CASCADE;
ALTER TABLE ONLY t_snapshot.work_items
    ADD CONSTRAINT work_items_run_fkey FOREIGN KEY (uid, tenant_id) REFERENCES t_snapshot.ingest_runs(uid, tenant_id) ON DELETE CASCADE;
ALTER TABLE dreamhub.chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.document_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.index_generations ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.ingest_run_documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.ingest_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.job_admissions ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.object_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.quota ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.rekey_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.run_workers ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.source_checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.source_items ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON dreamhub.chunks USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.document_versions USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.documents USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.index_generations USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.ingest_run_documents USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.ingest_runs USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.job_admissions USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.object_outbox USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.quota USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.rekey_runs USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.run_workers USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.source_checkpoints USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.source_items USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.term_counts USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.token_uses USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
CREATE POLICY tenant ON dreamhub.work_items USING ((tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text)));
ALTER TABLE dreamhub.term_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.token_uses ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.work_items ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA dreamhub TO dreamhub_api;
GRANT USAGE ON SCHEMA dreamhub TO dreamhub_operator;
GRANT USAGE ON SCHEMA t_snapshot TO t_snapshot;
GRANT USAGE ON SCHEMA t_snapshot TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.admit_jobs(tenant text, names text[], uids text[]) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.alter_login(login text, change text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.build_vector_index(tenant text, memory text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.build_vector_index(tenant text, memory text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.check_settlement() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.check_verifier(verifier text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.claim_tenant(tenant text, owner text, former text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.claim_tenant(tenant text, owner text, former text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.count_rows() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.count_sealed(tenant text, key_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.count_sealed(tenant text, key_id text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.count_storage() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.count_tokens() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.drop_tenant(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.drop_tenant(tenant text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.drop_vector_indexes(tenant text, but integer) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.drop_vector_indexes(tenant text, but integer) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.end_holders() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.end_login(tenant text, slot text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.end_login(tenant text, slot text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.end_sessions(login text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.erase_tenant(tenant text, owner text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.erase_tenant(tenant text, owner text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamp with time zone) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.fetch_admissions(tenants text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.fetch_admissions(tenants text[]) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.fetch_quotas(tenants text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.fetch_quotas(tenants text[]) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.fetch_vector_indexes(tenants text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.fetch_vector_indexes(tenants text[]) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.guard_admissions() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.limit_login(login text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.lock_parents() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.login_name(tenant text, slot text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.provision_partition(tenant text, name text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.provision_quota(tenant text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.provision_role(tenant text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.provision_role(tenant text, verifier text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.provision_tables(tenant text) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.provision_tenant(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.provision_tenant(tenant text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.provision_tenant(tenant text, verifier text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.provision_tenant(tenant text, verifier text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.refresh_statistics(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.refresh_statistics(tenant text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.refuse_quota(quota text, most bigint, used bigint, requested bigint, resets timestamp without time zone) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.refuse_resize() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.release_jobs(tenant text, names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.release_jobs(tenant text, names text[]) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.release_tenant(tenant text, owner text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.release_tenant(tenant text, owner text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.reserve_tokens(tenant text, uid text, tokens bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.reserve_tokens(tenant text, uid text, tokens bigint) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.serialize_provisioning() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.set_limits(tenant text, limits jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.set_limits(tenant text, limits jsonb) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.strip_tenant(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.strip_tenant(tenant text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.tenant_owner(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION dreamhub.tenant_owner(tenant text) TO dreamhub_operator;
REVOKE ALL ON FUNCTION dreamhub.tenant_tables() FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.use_quota(schema_name text, quota text, change bigint, creates boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION dreamhub.vector_index_name(generation integer) FROM PUBLIC;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE dreamhub.fair_balances TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE dreamhub.fair_charges TO dreamhub_operator;
GRANT SELECT ON TABLE dreamhub.schema_migrations TO dreamhub_api;
GRANT SELECT ON TABLE dreamhub.schema_migrations TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.chunks TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.document_versions TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.document_versions TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.documents TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.documents TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.index_generations TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.ingest_run_documents TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.ingest_run_documents TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.ingest_runs TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.ingest_runs TO dreamhub_operator;
GRANT SELECT,DELETE ON TABLE t_snapshot.job_admissions TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.job_admissions TO dreamhub_operator;
GRANT INSERT(name) ON TABLE t_snapshot.job_admissions TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.object_outbox TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.quota TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.quota TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.rekey_runs TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.rekey_runs TO dreamhub_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.run_workers TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.source_checkpoints TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.source_items TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.term_counts TO t_snapshot;
GRANT SELECT ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(id) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(model) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(purpose) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(tokens) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(job) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(reserved) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(settles) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT INSERT(prompt) ON TABLE t_snapshot.token_uses TO t_snapshot;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE t_snapshot.work_items TO t_snapshot;
