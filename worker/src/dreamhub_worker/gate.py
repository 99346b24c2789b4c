"""What stands between a collected source and its documents: an estimate, and perhaps a person who has to agree to it.

Nothing of a run with a `hold` is embedded before all of it is collected. Above the hold the worker tells what it has
found and idles until the pod is stopped, or the mounted order holds no such limit any more.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dreamhub.domain.cost import Estimate, File, Ratios, Seen, estimate
from dreamhub.domain.job_input import Hold
from dreamhub.sql.work_items import fetch_collected
from dreamhub_worker.context import Toolbox
from dreamhub_worker.meter import Meter

LOOK_SECONDS = 1.0
"""Between looks for the end of the collection, or for a new order."""

log = structlog.get_logger()


@dataclass
class Gate:
    uid: str
    tools: Toolbox
    meter: Meter
    read_hold: Callable[[], Hold | None]
    """As the mounted order has it now."""

    async def wait(self) -> None:
        """Until documents may be begun. Raises StoppingError."""
        while (hold := self.read_hold()) is not None:
            found = await self.appraise(hold)
            if found is not None and found.tokens <= hold.tokens_above:
                break
            if found is not None and not self.meter.awaiting_approval:
                log.info("awaiting_approval", tokens=found.tokens, above=hold.tokens_above)
                self.meter.awaiting_approval, self.meter.stage = True, None
            await self.tools.stop.guard(asyncio.sleep(LOOK_SECONDS))
        self.meter.awaiting_approval = False

    async def appraise(self, hold: Hold | None = None) -> Estimate | None:
        """What was collected, told with the next report; None while the source is being read."""
        async with self.tools.connection() as conn:
            sizes = await fetch_collected(conn, self.uid)
        if sizes is None:
            return None
        seen = {kind: Seen(*counts) for kind, counts in hold.seen.items()} if hold is not None else {}
        found = estimate((File(size, kind) for kind, size in sizes.items()), Ratios(seen))
        self.meter.estimated = (found.tokens, found.bytes)
        return found
