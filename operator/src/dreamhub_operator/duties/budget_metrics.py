"""What calls to models' providers came to, of all workers and API servers, as the leader tells Prometheus.

Workers live for seconds and have no endpoint to scrape: they count in Redis, and the counters here grow by what grew
there. The names without our prefix are the ones that users' dashboards know.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from dreamhub.domain.call_budget import Outcome, Rates
from dreamhub.storage.model_budget import BOUNDS, Calls

WINDOW_SECONDS = 60.0
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
CAUSED_BY_US: frozenset[str] = frozenset({"rejected"})
"""No fault of the provider's or of its key's."""


@dataclass(frozen=True, slots=True)
class Growth:
    """By what a tenant's counters have grown between two looks."""

    outcomes: Mapping[str, int]
    tokens: int
    took: tuple[int, ...]
    milliseconds: int

    @property
    def calls(self) -> int:
        return sum(self.outcomes.values())


def subtract(now: Calls, before: Calls | None) -> Growth:
    """Counters that are smaller than before have begun anew. Names that no process of ours counts are left out."""
    if before is None or now.tokens < before.tokens or sum(now.took) < sum(before.took):
        before = Calls({}, 0, (0,) * len(now.took), 0, 0, None)
    outcomes: dict[str, int] = {
        name: max(0, now.outcomes.get(name, 0) - before.outcomes.get(name, 0)) for name in OUTCOMES
    }
    took = tuple(max(0, later - earlier) for later, earlier in zip(now.took, before.took, strict=True))
    return Growth(outcomes, now.tokens - before.tokens, took, max(0, now.milliseconds - before.milliseconds))


@dataclass
class _Recent:
    """One model's last minute."""

    looks: deque[tuple[float, Growth]] = field(default_factory=deque)

    def add(self, at: float, growth: Growth) -> None:
        self.looks.append((at, growth))
        while self.looks[0][0] < at - WINDOW_SECONDS:
            self.looks.popleft()

    def count(self, *outcomes: str) -> int:
        return sum(growth.outcomes.get(name, 0) for _, growth in self.looks for name in outcomes)

    def tokens(self) -> int:
        return sum(growth.tokens for _, growth in self.looks)

    def took(self) -> list[int]:
        columns = zip(*(growth.took for _, growth in self.looks), strict=True)
        return [sum(column) for column in columns]


class EmbeddingSeconds(Collector):
    """`embedding_seconds`: a histogram whose observations were counted elsewhere."""

    def __init__(self) -> None:
        self._took: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, model: str, growth: Growth) -> None:
        before = self._took.get(model, [0] * len(growth.took))
        self._took[model] = [count + more for count, more in zip(before, growth.took, strict=True)]
        self._seconds[model] = self._seconds.get(model, 0.0) + growth.milliseconds / 1000

    @override
    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "embedding_seconds", "Duration of one embedding request to a provider, by model.", labels=["model"]
        )
        for model, took in self._took.items():
            bounds = (*map(str, BOUNDS), "+Inf")
            family.add_metric([model], list(zip(bounds, accumulate(took), strict=True)), self._seconds[model])
        yield family


class ModelMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "openai_req",
            "Requests to models' providers, by model and outcome.",
            ["model", "outcome"],
            registry=registry,
        )
        self.error_rate = Gauge(
            "openai_error_rate", "Of the last minute's requests, the share that failed.", ["model"], registry=registry
        )
        self.quota_used = Gauge(
            "quota_used_pct",
            "Of a model's requests or tokens a minute, whichever is nearer to its limit, the percentage used.",
            ["model"],
            registry=registry,
        )
        self.tokens = Counter(
            "dreamhub_model_tokens", "Tokens that providers counted.", ["model", "tenant"], registry=registry
        )
        self.seconds = EmbeddingSeconds()
        registry.register(self.seconds)
        self._recent: dict[str, _Recent] = {}

    def add(self, model: str, limits: Rates, at: float, growths: Mapping[str, Growth]) -> Growth:
        """One look at a model: growths by tenant. Returns their sum. `at` by a steady clock."""
        whole = _sum(growths.values())
        for tenant, growth in growths.items():
            if growth.tokens:
                self.tokens.labels(model, tenant).inc(growth.tokens)
        for outcome, count in whole.outcomes.items():
            if count:
                self.requests.labels(model, outcome).inc(count)
        self.seconds.add(model, whole)
        recent = self._recent.setdefault(model, _Recent())
        recent.add(at, whole)
        calls = recent.count(*OUTCOMES)
        failed = calls - recent.count("ok", *CAUSED_BY_US)
        self.error_rate.labels(model).set(failed / calls if calls else 0.0)
        self.quota_used.labels(model).set(_percent(limits, calls, recent.tokens()))
        return whole

    def embedding_p95(self) -> float | None:
        """Seconds that 95 of 100 embedding requests of the last minute took at most; None without any.

        The upper bound of their bucket; infinite above the last one. Of the slowest model.
        """
        found = [p95 for recent in self._recent.values() if (p95 := _find_p95(recent.took())) is not None]
        return max(found, default=None)


def _sum(growths: Iterable[Growth]) -> Growth:
    known = list(growths)
    columns = zip(*(growth.took for growth in known), strict=True)
    return Growth(
        outcomes={name: sum(growth.outcomes.get(name, 0) for growth in known) for name in OUTCOMES},
        tokens=sum(growth.tokens for growth in known),
        took=tuple(sum(column) for column in columns) or (0,) * (len(BOUNDS) + 1),
        milliseconds=sum(growth.milliseconds for growth in known),
    )


def _percent(limits: Rates, calls: int, tokens: int) -> float:
    shares = ((calls, limits.requests), (tokens, limits.tokens))
    return max((100 * used / limit for used, limit in shares if limit is not None), default=0.0)


def _find_p95(took: list[int]) -> float | None:
    if not sum(took):
        return None
    bounds = (*BOUNDS, float("inf"))
    reached = accumulate(took)
    return next(bound for bound, count in zip(bounds, reached, strict=True) if count >= 0.95 * sum(took))
