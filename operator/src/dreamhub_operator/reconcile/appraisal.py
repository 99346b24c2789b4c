"""What an IngestJob will use and cost, and whether a person has to agree. The estimate is pure; its ratios are read."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dreamhub.crd.ingest_job import IngestEstimate, IngestJob
from dreamhub.domain.cost import Estimate, File, Price, Ratios, Threshold, estimate, format_money
from dreamhub.domain.media_types import claimed_type
from dreamhub.domain.progress import Progress
from dreamhub.errors import InvalidInputError
from dreamhub.llm.models import ModelList
from dreamhub.sql.runs import ResolvedDocument
from dreamhub_operator.ports import Database

RATIO_SECONDS = 300.0
"""For so long what a tenant's documents have taken is not read again."""


@dataclass
class RatioBoard:
    """What the documents of each tenant have taken, read seldom."""

    database: Database
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, tuple[float, Ratios]] = field(default_factory=dict)

    async def find(self, tenant: str) -> Ratios:
        """Raises TransientError, and NotFoundError when it has no tables."""
        known = self._found.get(tenant)
        if known is None or self.clock() - known[0] >= RATIO_SECONDS:
            known = self._found[tenant] = (self.clock(), await self.database.fetch_ratios(tenant))
        return known[1]


def find_price(models: ModelList, name: str) -> Price:
    """Of an embedding model. One that is not in the list costs nothing: its jobs cannot begin."""
    try:
        model = models.find("embedding", name)
    except InvalidInputError:
        return Price()
    return Price(model.price_per_million_tokens, model.currency)


def is_known_before(job: IngestJob) -> bool:
    """Whether its documents are known before it begins."""
    return job.spec.source.documents is not None or job.spec.source.inline is not None


def find_agreed(job: IngestJob) -> datetime | None:
    """The moment whose versions were estimated when somebody agreed: later ones are not what was agreed to."""
    known = job.status.estimate
    return known.time if job.spec.approved and known is not None else None


def appraise(
    job: IngestJob, documents: Mapping[str, ResolvedDocument], ratios: Ratios, price: Price
) -> IngestEstimate | None:
    """None where the documents are known only when they are collected."""
    if not is_known_before(job):
        return None
    times = [document.read_at for document in documents.values() if document.read_at is not None]
    written = _write(estimate(_files(job, documents), ratios), price)
    return written.model_copy(update={"time": find_agreed(job) or min(times, default=None)})


def appraise_collected(progress: Progress, price: Price, ratios: Ratios) -> IngestEstimate | None:
    """As the worker has collected them; None before that."""
    if progress.estimated_tokens is None:
        return None
    found = Estimate(
        documents=progress.documents.total,
        bytes=progress.estimated_bytes or 0,
        tokens=progress.estimated_tokens,
        basis="OwnDocuments" if ratios.seen else "Typical",
    )
    return _write(found, price)


def _files(job: IngestJob, documents: Mapping[str, ResolvedDocument]) -> Iterable[File]:
    """What will be embedded: unchanged documents only by force."""
    for document in documents.values():
        if job.spec.force or not document.active:
            yield File(document.size, document.media_type)
    inline = job.spec.source.inline
    if inline is not None:
        yield File(len(inline.text.encode()), claimed_type(inline.name, "") or "text/plain")


def _write(found: Estimate, price: Price) -> IngestEstimate:
    cost = price.of(found.tokens)
    return IngestEstimate(
        documents=found.documents,
        bytes=found.bytes,
        tokens=found.tokens,
        cost=None if cost is None else format_money(cost),
        currency=None if cost is None else price.currency,
        basis=found.basis,
    )


def needs_approval(job: IngestJob, found: IngestEstimate | None, threshold: Threshold, price: Price) -> bool:
    most = threshold.most_tokens(price)
    return not job.spec.approved and most is not None and found is not None and found.tokens > most


def explain_approval(found: IngestEstimate, threshold: Threshold, name: str) -> str:
    cost = f" for {found.cost} {found.currency}" if found.cost is not None else ""
    limits = [] if threshold.tokens is None else [f"{threshold.tokens:,} tokens"]
    if threshold.cost is not None and found.cost is not None:
        limits.append(f"{format_money(threshold.cost)} {found.currency}")
    return (
        f"about {found.tokens:,} tokens{cost} are above the tenant's threshold of {' or '.join(limits)} "
        f"(spec.approval); an approver releases it: dreamhub approve {name}"
    )
