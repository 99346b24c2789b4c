"""The running server against its own OpenAPI document: generated requests, valid and invalid, and checked answers."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema

from dreamhub_api.openapi import build_document
from dreamhub_api.routes import ROUTES
from tests.integration.api.platform import Caller

EXAMPLES = 15
OPERATIONS = [(route.method, f"/api/v1{route.path}") for route in ROUTES]
NEEDS_REAL_VALUES = {route.path for route in ROUTES if route.idempotent_by_key or "cursor" in route.query.model_fields}
"""A random cursor, a repeated key or an empty file is rightly refused although the schema cannot say so."""


def exercise(schema: BaseSchema, method: str, path: str, mode: GenerationMode, caller: Caller) -> None:
    """Blocking: runs in a thread, while the server answers in the test's event loop."""
    operation = schema[path][method]
    excluded = ["positive_data_acceptance"] if path.removeprefix("/api/v1") in NEEDS_REAL_VALUES else []
    load_all_checks()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(
            base_url=caller.url, headers=caller.headers, excluded_checks=CHECKS.get_by_names(excluded)
        )

    run()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda value: value.removeprefix("/api/v1/"))
async def test_server_keeps_its_own_contract(caller: Caller, method: str, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(build_document(ROUTES))
    await asyncio.to_thread(exercise, schema, method, path, mode, caller)


async def test_document_is_served(caller: Caller) -> None:
    served = await caller.ok("GET", "/openapi.json")
    assert served == build_document(ROUTES)
    assert served["openapi"].startswith("3.1")
