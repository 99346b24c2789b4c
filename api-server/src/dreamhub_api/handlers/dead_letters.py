"""Handlers of /dead-letters."""

from dreamhub_api.calls import Call, DeadLettersQuery, NoBody, NoQuery, Reply
from dreamhub_client.dead_letters import DeadLetterChoice, Purge, PurgeChoice


async def list_dead_letters(call: Call[NoBody, DeadLettersQuery]) -> Reply:
    """Documents that ingest jobs have given up, in the order in which they did."""
    query = call.query
    return Reply(200, await call.services.dead_letters.page(call.tenant, query.job, query.cursor, query.limit))


async def replay_dead_letters(call: Call[DeadLetterChoice, NoQuery]) -> Reply:
    """Order their documents once more, as one new job."""
    return Reply(200, await call.services.dead_letters.replay(call.tenant, call.body))


async def purge_dead_letters(call: Call[PurgeChoice, NoQuery]) -> Reply:
    """Forget those that are named, or all where that is said. The documents stay as they are."""
    return Reply(200, Purge(purged=await call.services.dead_letters.purge(call.tenant, call.body)))
