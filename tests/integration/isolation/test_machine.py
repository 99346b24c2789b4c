"""Two tenants at once, in any order, with everything that goes wrong: no foreign row, ever.

A short run here; `make test-long` sets DREAMHUB_TEST_STEPS and does ten thousand steps.
"""

import math
import os
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.conftest import Database
from tests.integration.isolation.machine import TenantMachine
from tests.integration.isolation.world import World
from tests.integration.servers import RedisServer

LONG = os.environ.get("DREAMHUB_TEST_STEPS")
"""A long run takes other steps each time."""
WANTED = int(LONG or "250")
STEPS_IN_A_RUN = 50
MOST_BATCHES = 10


@pytest.mark.timeout(max(300, WANTED))
def test_no_foreign_row_ever(database: Database, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    done: Counter[str] = Counter()

    class Machine(TenantMachine):
        make_world = staticmethod(lambda: World(database, redis_server))

    Machine.done = done
    started = time.monotonic()
    for _ in range(MOST_BATCHES):
        left = WANTED - done.total()
        if left <= 0:
            break
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=math.ceil(left / STEPS_IN_A_RUN),
                stateful_step_count=STEPS_IN_A_RUN,
                deadline=None,
                derandomize=LONG is None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],  # a failure shows its fifty steps; to shorten them would take minutes
            ),
        )
    told = f"{done.total():,} steps in {time.monotonic() - started:.0f} s: {dict(done.most_common())}"
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201 - the figure that the long run is for
    assert done.total() >= WANTED
