"""The order of a worker: what was estimated when its Job was made is what it ingests, whatever comes later."""

import base64
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.domain.cost import Ratios
from dreamhub.domain.job_input import JobInput
from dreamhub.errors import ConflictError
from dreamhub.llm.models import ModelList
from dreamhub.names import job_input_secret
from dreamhub.sql.runs import ResolvedDocument
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.kinds import SECRET
from dreamhub_operator.reconcile.ingest_job import apply_plan
from dreamhub_operator.reconcile.ingest_plan import IngestPlan
from dreamhub_operator.reconcile.job_order import choose_versions, write_input
from tests.unit.operator.builders import ACME, DOCUMENT, NOW, ingest_job, observed

AGREED, LATER = "ver_" + "1" * 32, "ver_" + "2" * 32
KEY = ObjectKey(SECRET, job_input_secret("job-uid"), "dh-acme")
RENEWAL = IngestPlan(None, ("RenewInput",))


class World:
    """A cluster of Secrets, a database whose documents change, and a store that signs."""

    def __init__(self) -> None:
        self.secrets: dict[ObjectKey, Any] = {}
        self.signed = 0
        watched = SimpleNamespace(jobs={}, tenant_of=lambda _: None)
        settings = SimpleNamespace(worker_build="0.1.0", private_networks=())
        entry = {"name": ACME.embedding_model, "kind": "embedding", "endpoint": "http://x", "dimensions": 8}
        models = ModelList.model_validate({"models": [entry]})
        self.context = cast(
            "Any",
            SimpleNamespace(
                cluster=self,
                database=self,
                objects=self,
                ratios=SimpleNamespace(find=self.find),
                models=models,
                settings=settings,
                watched=watched,
                now=lambda: NOW,
            ),
        )

    async def get(self, key: ObjectKey) -> Any:
        return self.secrets.get(key)

    async def create(self, manifest: Any) -> None:
        if KEY in self.secrets:
            raise ConflictError("it is there")
        await self.apply(manifest)

    async def apply(self, manifest: Any) -> None:
        self.secrets[KEY] = manifest

    async def find(self, _: str) -> Ratios:
        return Ratios()

    async def resolve(self, *_: object) -> dict[str, ResolvedDocument]:
        """As it is by now: somebody has uploaded a much larger version."""
        return {DOCUMENT: ResolvedDocument(LATER, active=False, size=10**9, media_type="text/plain")}

    async def presign_get(self, _: str, version: str, __: int) -> str:
        self.signed += 1
        return f"https://objects/{version}?{self.signed}"

    @property
    def order(self) -> JobInput:
        return JobInput.model_validate_json(base64.b64decode(self.secrets[KEY]["data"]["job.json"]))


@pytest.fixture
async def world() -> World:
    """Its Job was made for a small document."""
    world, job = World(), ingest_job()
    found = {DOCUMENT: ResolvedDocument(AGREED, active=False, size=10, media_type="text/plain")}
    await write_input(world.context, job, ACME, await choose_versions(world.context, job, ACME, found))
    return world


async def test_fresh_urls_are_for_the_versions_that_were_estimated(world: World) -> None:
    before = world.order
    await apply_plan(world.context, ingest_job(), observed(), RENEWAL)
    (old,), (new,) = before.documents, world.order.documents
    assert (new.document_id, new.version_id, new.tokens) == (DOCUMENT, AGREED, 3)
    assert new.url != old.url


@pytest.mark.parametrize("foreign", [False, True], ids=["gone", "another's"])
async def test_without_its_order_nobody_knows_what_was_agreed_to(world: World, *, foreign: bool) -> None:
    if foreign:
        del world.secrets[KEY]["metadata"]["labels"]
    else:
        del world.secrets[KEY]
    signed = world.signed
    finding = await apply_plan(world.context, ingest_job(), observed(), RENEWAL)
    assert finding is not None
    assert finding.reason is IngestReason.CLUSTER_REFUSED
    assert "dreamhub retry" in finding.message
    assert world.signed == signed
