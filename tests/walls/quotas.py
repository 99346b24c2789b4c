"""Walls between a tenant and what belongs to all: its plan, its place in the queue, the end of its login."""

from tests.walls.removals import FunctionEdit, SourceEdit, Wall

_WALLS = "tests/integration/isolation/test_database_walls.py::"
_QUOTA = "tests/integration/sql/test_quota.py::"
_LOGINS = "tests/integration/sql/test_logins.py::"

WALLS = (
    Wall(
        "quota: counted in the database",
        (
            FunctionEdit(
                "provision_quota(text)",
                "FOREACH event IN ARRAY ARRAY['INSERT', 'DELETE'] LOOP",
                "FOREACH event IN ARRAY ARRAY['DELETE'] LOOP",
            ),
        ),
        (f"{_QUOTA}test_a_limit_lets_exactly_so_many_through[documents]",),
    ),
    Wall(
        "quota: refused at the limit",
        (FunctionEdit("use_quota(text,text,bigint,boolean)", "IF change > 0 AND used > most THEN", "IF false THEN"),),
        (f"{_QUOTA}test_a_limit_lets_exactly_so_many_through[storage]",),
    ),
    Wall(
        "quota: refused when suspended",
        (FunctionEdit("use_quota(text,text,bigint,boolean)", "IF creates AND stopped THEN", "IF false THEN"),),
        (f"{_QUOTA}test_a_suspended_tenant_reads_and_finishes_but_begins_nothing",),
    ),
    Wall(
        "quota: limits are not the tenant's to write",
        (FunctionEdit("provision_tables(text)", "WHEN 'quota' THEN 'SELECT'", "WHEN 'quota' THEN 'SELECT, UPDATE'"),),
        (f"{_WALLS}test_limits_are_not_the_tenants_to_write",),
    ),
    Wall(
        "quota: the ledger is only added to",
        (
            FunctionEdit(
                "provision_tables(text)",
                "WHEN 'token_uses' THEN 'SELECT, INSERT",
                "WHEN 'token_uses' THEN 'SELECT, DELETE, INSERT",
            ),
        ),
        (f"{_WALLS}test_limits_are_not_the_tenants_to_write",),
    ),
    Wall(
        "quota: a version's size never changes",
        (
            FunctionEdit(
                "provision_quota(text)",
                "'FOR EACH STATEMENT EXECUTE FUNCTION dreamhub.refuse_resize();'",
                "'FOR EACH ROW WHEN (false) EXECUTE FUNCTION dreamhub.refuse_resize();'",
            ),
        ),
        (f"{_WALLS}test_limits_are_not_the_tenants_to_write",),
    ),
    Wall(
        "quota: places in the queue are given, not taken",
        (
            FunctionEdit(
                "guard_admissions()",
                "IF session_user NOT IN ('dreamhub_api', 'dreamhub_operator') THEN",
                "IF false THEN",
            ),
        ),
        (f"{_WALLS}test_places_in_the_queue_are_not_the_tenants_to_take",),
    ),
    Wall(
        "login: becomes its own tenant alone",
        (
            FunctionEdit(
                "set_login(text,text,text)",
                "    PERFORM dreamhub.limit_login(login);",
                "    EXECUTE coalesce((SELECT string_agg(format('GRANT %I TO %I WITH SET TRUE', rolname, login), ';')"
                " FROM pg_roles WHERE rolname ~ '^t_[^.]*$' AND rolname <> role_name), 'SELECT 1');\n"
                "    PERFORM dreamhub.limit_login(login);",
            ),
        ),
        ("tests/integration/isolation/test_tables.py::test_roles_cannot_be_taken",),
    ),
    Wall(
        "login: an ended one is refused",
        (
            FunctionEdit("end_login(text,text)", "'NOLOGIN PASSWORD NULL'", "'LOGIN'"),
            FunctionEdit("expire_login(text,text,timestamp with time zone)", "format('VALID UNTIL %L', moment)", "''"),
        ),
        (f"{_LOGINS}test_an_expired_login_is_refused_and_its_sessions_end_later",),
    ),
    Wall(
        "pool: a connection comes back without a role",
        (SourceEdit("dreamhub.sql.pool", "\\nRESET ROLE;", ""),),
        ("tests/integration/isolation/test_database_walls.py::test_role_left_behind_is_taken_off",),
    ),
)
