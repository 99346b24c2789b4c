"""Walls in PostgreSQL."""

from tests.walls.removals import FunctionEdit, SourceEdit, Statement, Wall

_WALLS = "tests/integration/isolation/test_database_walls.py::"
_SQL = "tests/integration/sql/"

WALLS = (
    Wall(
        "row policy: USING",
        (Statement("ALTER POLICY tenant ON dreamhub.{table} USING (true)"),),
        (f"{_WALLS}test_row_policy_shows_the_named_tenant_only", f"{_WALLS}test_every_parent_has_the_same_policy"),
    ),
    Wall(
        "row policy: closed when no tenant is set",
        (
            Statement(
                "ALTER POLICY tenant ON dreamhub.{table} USING "
                "(tenant_id = coalesce(NULLIF(current_setting('app.tenant_id', true), ''), tenant_id))"
            ),
        ),
        (f"{_WALLS}test_row_policy_is_closed_without_a_tenant",),
    ),
    Wall(
        "row policy: WITH CHECK",
        (Statement("ALTER POLICY tenant ON dreamhub.{table} WITH CHECK (true)"),),
        (f"{_WALLS}test_row_policy_checks_what_is_written",),
    ),
    Wall(
        "row security: ENABLE",
        (Statement("ALTER TABLE dreamhub.{table} DISABLE ROW LEVEL SECURITY"),),
        (f"{_WALLS}test_row_policy_shows_the_named_tenant_only",),
    ),
    Wall(
        "row security: FORCE",
        (Statement("ALTER TABLE dreamhub.{table} NO FORCE ROW LEVEL SECURITY"),),
        (f"{_WALLS}test_row_policy_binds_the_owner",),
    ),
    Wall(
        "row security: start-up refuses tables without it",
        (SourceEdit("dreamhub.sql.pool", "if facts.unguarded_tables:", "if False:"),),
        ("tests/unit/sql/test_pool.py",),
    ),
    Wall(
        "start-up refuses superusers",
        (SourceEdit("dreamhub.sql.pool", "if facts.superuser or facts.bypasses_row_security:", "if False:"),),
        (f"{_SQL}test_isolation.py::test_superuser_login_is_refused",),
    ),
    Wall(
        "grant: parents to nobody",
        (Statement("GRANT SELECT ON dreamhub.{table} TO dreamhub_tenant"),),
        (f"{_WALLS}test_parents_are_granted_to_nobody",),
    ),
    Wall(
        "grant: schema of the platform",
        (Statement("GRANT USAGE ON SCHEMA dreamhub TO dreamhub_tenant"),),
        (f"{_WALLS}test_tenants_cannot_enter_the_platforms_schema",),
    ),
    Wall(
        "grant: functions of the platform",
        (Statement("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA dreamhub TO PUBLIC"),),
        (f"{_WALLS}test_tenants_may_call_no_function_of_the_platform",),
    ),
    Wall(
        "grant: partition to its tenant",
        (
            FunctionEdit(
                "provision_tables(text)",
                "'GRANT %s ON %I.%I TO %I'",
                "'GRANT %s ON %I.%I TO %I, dreamhub_tenant'",
            ),
        ),
        (f"{_WALLS}test_partition_is_granted_to_its_tenant_only",),
    ),
    Wall(
        "grant: schema to its tenant",
        (
            FunctionEdit(
                "provision_tenant(text)",
                "'GRANT USAGE ON SCHEMA %I TO %I, dreamhub_operator'",
                "'GRANT USAGE ON SCHEMA %I TO %I, dreamhub_operator, dreamhub_tenant'",
            ),
        ),
        (f"{_WALLS}test_schema_is_open_to_its_tenant_only",),
    ),
    Wall(
        "grant: the operator reads no content",
        (
            FunctionEdit(
                "provision_tables(text)",
                "'GRANT SELECT ON %1$I.documents,",
                "'GRANT SELECT ON %1$I.chunks, %1$I.documents,",
            ),
        ),
        (f"{_SQL}test_isolation.py::test_operator_reads_states_but_no_text",),
    ),
    Wall(
        "partition: bound to its tenant",
        (
            FunctionEdit(
                "provision_partition(text,text)",
                "'ALTER TABLE dreamhub.%2$I ATTACH PARTITION %1$I.%2$I FOR VALUES IN (%3$L)'",
                "'SELECT %1$L, %2$L, %3$L'",
            ),
        ),
        (f"{_WALLS}test_partition_takes_no_foreign_row",),
    ),
    Wall(
        "key: composite with the tenant",
        (
            FunctionEdit(
                "provision_partition(text,text)",
                "    foreign_keys := CASE\n",
                "    IF name = 'documents' THEN\n"
                "        EXECUTE format('CREATE UNIQUE INDEX ON %I.documents (id)', schema_name);\n"
                "    END IF;\n"
                "    foreign_keys := CASE\n",
            ),
        ),
        (f"{_WALLS}test_every_key_holds_the_tenant",),
    ),
    Wall(
        "foreign key: to the tenant's own document",
        (
            FunctionEdit(
                "provision_partition(text,text)",
                "    IF foreign_keys IS NOT NULL THEN",
                "    IF false THEN",
            ),
        ),
        (f"{_WALLS}test_foreign_parent_row_is_absent",),
    ),
    Wall(
        "role: API inherits no tenant",
        (
            FunctionEdit(
                "provision_role(text)",
                "'GRANT %I TO dreamhub_api WITH INHERIT FALSE, SET TRUE'",
                "'GRANT %I TO dreamhub_api WITH INHERIT TRUE, SET TRUE'",
            ),
        ),
        (f"{_WALLS}test_api_login_inherits_no_tenant",),
    ),
    Wall(
        "role switch: in every transaction of the API",
        (SourceEdit("dreamhub.sql.pool", "            await _become(conn, tenant)\n", ""),),
        (f"{_WALLS}test_role_is_taken_for_one_transaction",),
    ),
    Wall(
        "role switch: ends with the transaction",
        (SourceEdit("dreamhub.sql.pool", "f'SET LOCAL ROLE", "f'SET ROLE"),),
        (f"{_WALLS}test_role_ends_with_its_transaction",),
    ),
    Wall(
        "role switch: names are checked",
        (SourceEdit("dreamhub.sql.pool", "    if not names.is_tenant_name(tenant):\n        raise absent\n", ""),),
        (f"{_SQL}test_isolation.py::test_unknown_tenant_is_not_found",),
    ),
    Wall(
        "database: only our logins connect",
        (Statement("GRANT CONNECT ON DATABASE dreamhub TO PUBLIC"),),
        (f"{_SQL}test_isolation.py::test_other_databases_users_cannot_connect",),
    ),
    Wall(
        "database: tenants create nothing",
        (Statement("GRANT CREATE ON SCHEMA public TO dreamhub_tenant"),),
        (f"{_SQL}test_isolation.py::test_tenant_cannot_create_objects",),
    ),
    Wall(
        "database: names are checked where tenants are made",
        (FunctionEdit("login_name(text,text)", "IF tenant IS NULL OR tenant !~", "IF tenant IS NULL OR 'a' !~"),),
        (f"{_SQL}test_provisioning.py::test_bad_names_are_refused_inside_sql",),
    ),
)
