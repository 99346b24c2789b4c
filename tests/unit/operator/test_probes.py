from dataclasses import dataclass
from typing import Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from dreamhub_operator.freshness import LIMIT_SECONDS, Freshness
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.probes import Probes
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import ingest_job


@dataclass
class Server:
    answers: bool

    async def is_answering(self) -> bool:
        return self.answers


def build(*, stale: bool = False, answers: bool = True, ready: bool = True) -> Probes:
    now = [0.0]
    freshness = Freshness(clock=lambda: now[0])
    freshness.start()
    now[0] = LIMIT_SECONDS + 1 if stale else 1
    server = cast("Any", Server(answers))
    return Probes(server, freshness, Watched(), Metrics(CollectorRegistry()), lambda: ready)


@pytest.mark.parametrize(
    ("probes", "status"),
    [
        (build(), 200),
        (build(stale=True), 503),
        (build(stale=True, answers=False), 200),
    ],
)
async def test_liveness_blames_a_watch_only_when_the_server_answers(probes: Probes, status: int) -> None:
    response = await probes.healthz(make_mocked_request("GET", "/healthz"))
    assert response.status == status


async def test_readiness() -> None:
    request = make_mocked_request("GET", "/readyz")
    assert (await build().readyz(request)).status == 200
    assert (await build(ready=False).readyz(request)).status == 503


async def test_metrics_show_jobs_by_phase_and_ages() -> None:
    probes = build()
    probes.watched.ingest_jobs["a"] = ingest_job({"phase": "Running"})
    response = await probes.show_metrics(make_mocked_request("GET", "/metrics"))
    assert isinstance(response.body, bytes)
    text = response.body.decode()
    assert 'dreamhub_jobs{phase="Running"} 1.0' in text
    assert 'dreamhub_jobs{phase="Failed"} 0.0' in text


async def test_metrics_tell_why_jobs_have_not_begun() -> None:
    probes = build()
    for told in ("TenantLimit", "GlobalLimit"):
        probes.watched.ingest_jobs["a"] = ingest_job({"phase": "Queued", "reason": told})
        response = await probes.show_metrics(make_mocked_request("GET", "/metrics"))
    assert isinstance(response.body, bytes)
    text = response.body.decode()
    assert 'dreamhub_jobs_waiting{reason="GlobalLimit"} 1.0' in text
    assert "TenantLimit" not in text
    assert 'dreamhub_watch_age_seconds{kind="tenants"} 1.0' in text
