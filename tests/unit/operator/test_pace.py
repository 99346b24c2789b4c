import pytest

from dreamhub.crd.tenant import TenantReason
from dreamhub_operator.queue import BACKOFF_FIRST, BACKOFF_MOST
from dreamhub_operator.reconcile.pace import Pace
from dreamhub_operator.reconcile.tenant_plan import Obstacle
from dreamhub_operator.reconcile.tenant_status import PARTS, Failure, Report


def failing() -> Report:
    return Report(failures={"CacheReady": Failure(TenantReason.CACHE_UNAVAILABLE, "away")})


def look(pace: Pace, report: Report, *, changed: bool = False) -> float | None:
    return pace.next_look("t1", report, changed=changed, jitter=0)


@pytest.mark.parametrize(
    "report",
    [
        failing(),
        Report(),
        Report(obstacle=Obstacle(TenantReason.NAMESPACE_TERMINATING, "going", passes=True)),
    ],
)
def test_what_passes_is_looked_at_ever_later_up_to_a_limit(report: Report) -> None:
    pace = Pace()
    waits = [look(pace, report) for _ in range(12)]
    assert waits[:3] == [BACKOFF_FIRST, 2 * BACKOFF_FIRST, 4 * BACKOFF_FIRST]
    assert waits[-1] == BACKOFF_MOST


@pytest.mark.parametrize("reason", [TenantReason.UNKNOWN_MODEL, TenantReason.KEYS_LOST, TenantReason.NAMESPACE_FOREIGN])
def test_what_needs_a_person_waits_for_the_look_for_drift(reason: TenantReason) -> None:
    report = Report(done=set(PARTS), obstacle=Obstacle(reason, "help"))
    assert look(Pace(), report) is None
    report.failures = failing().failures
    assert look(Pace(), report) == BACKOFF_FIRST


def test_a_ready_tenant_and_a_new_spec_begin_anew() -> None:
    pace = Pace()
    for _ in range(5):
        look(pace, failing())
    assert look(pace, Report(done=set(PARTS))) is None
    assert look(pace, failing()) == BACKOFF_FIRST
    look(pace, failing())
    assert look(pace, failing(), changed=True) == BACKOFF_FIRST
