"""Handlers of /tenants/self and /ws-tickets."""

from dreamhub.errors import UnavailableError
from dreamhub_api.calls import Call, NoBody, NoQuery, Reply
from dreamhub_api.services.tickets import LIFETIME_SECONDS
from dreamhub_api.views import usage_view
from dreamhub_client.models import WsTicket
from dreamhub_client.tenants import TenantModels, TenantSelf


async def get_own_tenant(call: Call[NoBody, NoQuery]) -> Reply:
    """The tenant that the token belongs to, and what the caller may do in it."""
    tenant = call.services.find_tenant(call.tenant)
    if tenant is None:
        raise UnavailableError(f"tenant {call.tenant} is still being set up; try again", code="TenantNotReady")
    body = TenantSelf(
        name=call.tenant,
        display_name=tenant.spec.display_name,
        phase=tenant.status.phase,
        suspended=tenant.spec.suspend,
        models=TenantModels(embedding=tenant.spec.models.embedding, chat=tenant.spec.models.chat),
        subject=call.principal.subject,
        scopes=tuple(sorted(call.principal.scopes)),
        usage=usage_view(tenant.status.usage),
    )
    return Reply(200, body)


async def get_usage(call: Call[NoBody, NoQuery]) -> Reply:
    """What the tenant holds and has used, the limits of its plan, and when usage resets."""
    return Reply(200, await call.services.usage.fetch(call.tenant))


async def create_ws_ticket(call: Call[NoBody, NoQuery]) -> Reply:
    """A ticket that opens one WebSocket: `/ws?ticket=...`."""
    ticket = await call.services.tickets.issue(call.principal)
    return Reply(201, WsTicket(ticket=ticket, expires_in_seconds=LIFETIME_SECONDS))
