"""Every source against a real API server, as whoever uses kubectl meets it."""

import pytest

from tests.integration.crd.test_refusals import MERGE, job
from tests.integration.ingest_sources import REFUSED, SOURCES
from tests.integration.operator.control_plane import Api


@pytest.mark.parametrize("name", SOURCES)
async def test_a_source_is_taken_and_stays(api: Api, orders: str, name: str) -> None:
    await api.ok("POST", f"{orders}?fieldValidation=Strict", job(f"of-{name}", source=SOURCES[name]))
    [kind] = SOURCES[name]
    changes = {"plugin": {"config": {"space": "IT"}}, "web": {"maxPages": 7}, "s3": {"prefix": "other/"}}
    change = changes.get(kind, {"secretRef": {"name": "other"}, "mbox": {"prefix": "other"}})
    status, answer = await api.call("PATCH", f"{orders}/of-{name}", {"spec": {"source": {kind: change}}}, MERGE)
    assert status == 422
    assert "immutable" in answer["message"] or "exactly one" in answer["message"]


@pytest.mark.parametrize("case", REFUSED)
async def test_what_makes_no_sense_is_refused(api: Api, orders: str, case: str) -> None:
    source, word = REFUSED[case]
    status, answer = await api.call("POST", orders, job(source=source))
    assert status in (400, 422), answer
    assert word in answer["message"]
