"""Walls in the API server."""

from tests.walls.removals import SourceEdit, Wall

_TESTS = "tests/integration/isolation/test_api_walls.py::"
_ROUTES = "tests/integration/isolation/test_routes.py::"
_SERVICES = "dreamhub_api.services"
_UNSEALED = (
    SourceEdit(f"{_SERVICES}.tickets", "encrypt(nonce, login, tenant.encode())", 'encrypt(nonce, login, b"")'),
    SourceEdit(f"{_SERVICES}.tickets", "sealed[_NONCE:], tenant.encode())", 'sealed[_NONCE:], b"")'),
)

WALLS = (
    Wall(
        "API: tenant comes from the login",
        (
            SourceEdit(
                "dreamhub_api.calls",
                "return self.principal.tenant",
                "return self.request.headers.get('X-Tenant', self.principal.tenant)",
            ),
        ),
        (f"{_TESTS}test_tenant_named_in_a_request_is_not_heard",),
    ),
    Wall(
        "API: tenant's namespace has the prefix",
        (
            SourceEdit(
                "dreamhub.names",
                "return tenant if tenant != name and is_tenant_name",
                "return tenant if is_tenant_name",
            ),
        ),
        (f"{_TESTS}test_namespace_that_is_only_called_like_a_tenant",),
    ),
    Wall(
        "API: token was given for this service",
        (
            SourceEdit(
                "dreamhub_api.auth.token_review",
                "if not review.authenticated or names.TOKEN_AUDIENCE not in review.audiences:",
                "if not review.username:",
            ),
            SourceEdit(
                "dreamhub_api.auth.token_review", "if names.TOKEN_AUDIENCE not in peeked.audiences:", "if False:"
            ),
            SourceEdit(
                "dreamhub_api.cluster.resources",
                '"audiences": [names.TOKEN_AUDIENCE]',
                '"audiences": [names.TOKEN_AUDIENCE, "another-service"]',
            ),
        ),
        (f"{_TESTS}test_token_that_the_cluster_gave_for_others_is_refused",),
    ),
    Wall(
        "API: signature of a provider's token",
        (
            SourceEdit(
                "dreamhub_api.auth.oidc",
                "claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims",
                "claims = peeked.claims",
            ),
        ),
        ("tests/unit/api/test_logins.py::TestOidc::test_other_key_under_a_known_id",),
    ),
    Wall(
        "API: expiry of a provider's token",
        (SourceEdit("dreamhub_api.auth.oidc", "            self._registry().validate(claims)\n", ""),),
        (f"{_ROUTES}test_strangers_get_nothing[GET /api/v1/documents/{{document_id}}: expired]",),
    ),
    Wall(
        "API: scopes",
        (SourceEdit("dreamhub_api.auth.principal", "if scope not in principal.scopes:", "if False:"),),
        (f"{_TESTS}test_reader_may_not_write",),
    ),
    Wall(
        "API: workers have no login",
        (SourceEdit("dreamhub_api.auth.principal", "if account == names.WORKER_SERVICE_ACCOUNT:", "if False:"),),
        (f"{_TESTS}test_reader_may_not_write",),
    ),
    Wall(
        "API: a job is looked up in the tenant's namespace",
        (
            SourceEdit(
                f"{_SERVICES}.ingest_jobs",
                "job = self._cache.get((names.namespace(tenant), name))",
                "job = next((jobs[name] for jobs in self._cache._objects.values() if name in jobs), None)",
            ),
        ),
        (f"{_ROUTES}test_strangers_get_nothing[GET /api/v1/ingest-jobs/{{job_name}}: other]",),
    ),
    Wall(
        "API: jobs are listed by the tenant's namespace",
        (
            SourceEdit(
                f"{_SERVICES}.ingest_jobs",
                "jobs = self._cache.namespace(names.namespace(tenant)).values()",
                "jobs = [job for jobs in self._cache._objects.values() for job in jobs.values()]",
            ),
        ),
        (f"{_ROUTES}test_strangers_get_nothing[GET /api/v1/ingest-jobs: other]",),
    ),
    Wall(
        "API: idempotency keys hold the tenant",
        (SourceEdit(f"{_SERVICES}.idempotency", 'f"{names.redis_prefix(self.tenant)}idem:', 'f"idem:'),),
        (f"{_TESTS}test_idempotency_keys_are_ones_own",),
    ),
    Wall(
        "WebSocket: tickets are kept and sealed for a tenant",
        (SourceEdit(f"{_SERVICES}.tickets", 'f"{names.redis_prefix(tenant)}ticket:', 'f"ticket:'), *_UNSEALED),
        (f"{_TESTS}test_ticket_opens_its_own_tenant",),
    ),
    Wall(
        "WebSocket: tickets are sealed for a tenant",
        _UNSEALED,
        (f"{_TESTS}test_ticket_moved_to_another_tenant_is_void",),
    ),
    Wall(
        "WebSocket: channels of the tenant",
        (SourceEdit("dreamhub_api.hub.channels", " or owner != tenant", ""),),
        (f"{_TESTS}test_channel_of_another_tenant_is_absent",),
    ),
    Wall(
        "WebSocket: a board for each tenant",
        (
            SourceEdit(
                "dreamhub_api.hub.hub",
                "self._boards.setdefault(tenant, Board())",
                'self._boards.setdefault("", Board())',
            ),
            SourceEdit(
                "dreamhub_api.hub.hub",
                "        board = self._boards.get(tenant)\n        if board is not None:\n            board.change",
                '        board = self._boards.get("")\n        if board is not None:\n            board.change',
            ),
        ),
        (f"{_TESTS}test_board_shows_ones_own_jobs",),
    ),
    Wall(
        "WebSocket: the board begins with the tenant's jobs",
        (
            SourceEdit(
                f"{_SERVICES}.ingest_jobs",
                "return list(self._present(tenant))",
                "return [job for jobs in self._cache._objects.values() for job in jobs.values()]",
            ),
        ),
        (f"{_TESTS}test_board_shows_ones_own_jobs",),
    ),
)
