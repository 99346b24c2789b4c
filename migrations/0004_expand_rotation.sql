-- Logins and data keys that change without anybody noticing.
--
-- A tenant's role keeps the rights and stops being a login. Two logins stand beside it, `t_<tenant>.a` and
-- `t_<tenant>.b`: members that become the role as they log in (ALTER ROLE ... SET role) and may nothing as themselves.
-- Rotation gives the login that is not in use a new verifier, and the other one an end.
--
-- The functions with a verifier beside the tenant stay for builds that know one login only: rolling back works.

CREATE FUNCTION dreamhub.login_name(tenant text, slot text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
COMMENT ON FUNCTION dreamhub.login_name(text, text) IS
    'The login in a slot; the empty slot is the role itself, which was the login before there were slots.';
REVOKE ALL ON FUNCTION dreamhub.login_name(text, text) FROM PUBLIC;

CREATE FUNCTION dreamhub.check_verifier(verifier text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF verifier IS NULL
        OR verifier !~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$'
    THEN
        RAISE EXCEPTION 'not a SCRAM-SHA-256 verifier: passwords are never passed to the database'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION dreamhub.check_verifier(text) FROM PUBLIC;

CREATE FUNCTION dreamhub.provision_role(tenant text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format(
            'CREATE ROLE %I NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role_name
        );
    END IF;
    EXECUTE format('ALTER ROLE %I NOINHERIT', role_name);
    EXECUTE format('GRANT dreamhub_tenant TO %I WITH INHERIT TRUE, SET FALSE', role_name);
    EXECUTE format('GRANT %I TO dreamhub_api WITH INHERIT FALSE, SET TRUE', role_name);
END
$$;
COMMENT ON FUNCTION dreamhub.provision_role(text) IS
    'The tenant''s role. One that is a login still, from an earlier release, stays one until dreamhub.end_login.';
REVOKE ALL ON FUNCTION dreamhub.provision_role(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dreamhub.provision_role(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dreamhub.provision_role(tenant);
    EXECUTE format(
        'ALTER ROLE %I LOGIN PASSWORD %L VALID UNTIL ''infinity''', dreamhub.login_name(tenant, ''), verifier
    );
    PERFORM dreamhub.limit_login(dreamhub.login_name(tenant, ''));
END
$$;

-- How far the re-encryption under a key has come. Counts and ids, never content.
CREATE TABLE dreamhub.rekey_runs (
    tenant_id text NOT NULL,
    key_id text NOT NULL,
    total bigint NOT NULL CHECK (total >= 0),
    done bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (key_id, tenant_id)
) PARTITION BY LIST (tenant_id);
COMMENT ON COLUMN dreamhub.rekey_runs.key_id IS 'The data key under which every row is to be.';
ALTER TABLE dreamhub.rekey_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE dreamhub.rekey_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON dreamhub.rekey_runs
    USING (tenant_id = NULLIF(pg_catalog.current_setting('app.tenant_id', true), ''));

CREATE OR REPLACE FUNCTION dreamhub.tenant_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN ARRAY[
        'documents', 'document_versions', 'chunks', 'index_generations', 'term_counts', 'ingest_runs',
        'ingest_run_documents', 'object_outbox', 'rekey_runs'
    ];

CREATE FUNCTION dreamhub.provision_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_name text := dreamhub.login_name(tenant, '');
    name text;
BEGIN
    PERFORM dreamhub.serialize_provisioning();
    PERFORM dreamhub.provision_role(tenant);
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, dreamhub_operator', schema_name, schema_name);
    FOREACH name IN ARRAY dreamhub.tenant_tables() LOOP
        PERFORM dreamhub.provision_partition(tenant, name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I', schema_name, name, schema_name);
    END LOOP;
    EXECUTE format(
        'GRANT SELECT ON %1$I.documents, %1$I.document_versions, %1$I.ingest_runs, %1$I.ingest_run_documents, '
        '%1$I.rekey_runs TO dreamhub_operator',
        schema_name
    );
END
$$;
COMMENT ON FUNCTION dreamhub.provision_tenant(text) IS
    'Make or complete a tenant: role, schema, partitions, grants. Repeating it is safe. Logins: dreamhub.set_login.';
REVOKE ALL ON FUNCTION dreamhub.provision_tenant(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.provision_tenant(text) TO dreamhub_operator;

CREATE OR REPLACE FUNCTION dreamhub.provision_tenant(tenant text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dreamhub.login_name(tenant, '');
    PERFORM dreamhub.check_verifier(verifier);
    PERFORM dreamhub.provision_tenant(tenant);
    PERFORM dreamhub.provision_role(tenant, verifier);
END
$$;
COMMENT ON FUNCTION dreamhub.provision_tenant(text, text) IS
    'As dreamhub.provision_tenant(text), with the role itself as the login: for builds that know no slots.';

-- A login may change its own password and its own defaults, as every role in PostgreSQL may: so all of it is set again
-- each time. It may not change until when it is valid.
CREATE FUNCTION dreamhub.set_login(tenant text, slot text, verifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
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
    EXECUTE format('ALTER ROLE %I RESET ALL', login);
    EXECUTE format('ALTER ROLE %I SET role = %L', login, role_name);
    EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT PASSWORD %L VALID UNTIL ''infinity''', login, verifier);
    PERFORM dreamhub.limit_login(login);
END
$$;
COMMENT ON FUNCTION dreamhub.set_login(text, text, text) IS
    'Let the tenant log in by this slot with this verifier. Repeating it repairs what was changed.';
REVOKE ALL ON FUNCTION dreamhub.set_login(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.set_login(text, text, text) TO dreamhub_operator;

CREATE FUNCTION dreamhub.expire_login(tenant text, slot text, moment timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    IF login IS NULL OR moment IS NULL THEN
        RAISE EXCEPTION 'a slot and a moment are needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login AND rolcanlogin) THEN
        EXECUTE format('ALTER ROLE %I VALID UNTIL %L', login, moment);
    END IF;
END
$$;
COMMENT ON FUNCTION dreamhub.expire_login(text, text, timestamptz) IS
    'From that moment on the login is refused. Sessions that are open go on until dreamhub.end_login.';
REVOKE ALL ON FUNCTION dreamhub.expire_login(text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.expire_login(text, text, timestamptz) TO dreamhub_operator;

CREATE FUNCTION dreamhub.end_login(tenant text, slot text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    login text := dreamhub.login_name(tenant, slot);
BEGIN
    IF login IS NULL THEN
        RAISE EXCEPTION 'not a slot: a tenant logs in as a or b' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM dreamhub.serialize_provisioning();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', login);
        -- Only a member with the login's rights may end its sessions.
        EXECUTE format('GRANT %I TO dreamhub_owner WITH INHERIT TRUE, SET FALSE', login);
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = login;
        EXECUTE format('REVOKE INHERIT OPTION FOR %I FROM dreamhub_owner', login);
    END IF;
END
$$;
COMMENT ON FUNCTION dreamhub.end_login(text, text) IS
    'No new login by this slot, and no session either: its password is forgotten. An absent one is fine.';
REVOKE ALL ON FUNCTION dreamhub.end_login(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.end_login(text, text) TO dreamhub_operator;

-- As before, with the slots: logins first, so that nobody comes back while the rest goes.
CREATE OR REPLACE FUNCTION dreamhub.drop_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '5s'
AS $$
DECLARE
    role_name text := dreamhub.login_name(tenant, '');
    slot text;
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
        EXECUTE format('DROP ROLE IF EXISTS %I', dreamhub.login_name(tenant, slot));
    END LOOP;
END
$$;
COMMENT ON FUNCTION dreamhub.drop_tenant(text) IS
    'Destroy a tenant: logins with their sessions, schema with all rows, role. An absent one is fine.';

CREATE FUNCTION dreamhub.count_sealed(tenant text, key_id text) RETURNS bigint
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
        '+ (SELECT count(*) FROM %1$I.chunks WHERE substring(body_ct FROM 1 FOR $2) = $1)',
        schema_name
    ) INTO counted USING head, octet_length(head);
    RETURN counted;
END
$$;
COMMENT ON FUNCTION dreamhub.count_sealed(text, text) IS
    'Rows of the tenant that name this data key: it may be taken away when there are none.';
REVOKE ALL ON FUNCTION dreamhub.count_sealed(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dreamhub.count_sealed(text, text) TO dreamhub_operator;
