"""One release a cluster: Tenants have no namespace, so two releases would make and undo the same tenants in turn.

A Lease tells replicas of one release apart, not releases. What both need exists once in the cluster: the ClusterRole
with the rights in tenants' namespaces. It names the one operator that they are meant for; any other refuses to work.
"""

import asyncio

import structlog

from dreamhub.errors import ForbiddenError, TransientError
from dreamhub.names import API_GROUP
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.desired.namespace import OPERATOR_ROLE
from dreamhub_operator.kinds import CLUSTER_ROLE, Manifest

OPERATOR = f"{API_GROUP}/operator"
"""Annotation: the user name of the operator."""
LOOK_SECONDS = 30.0

log = structlog.get_logger()


class NotTheOperatorError(ForbiddenError):
    """Another release operates the Tenants of this cluster."""

    default_code = "NotTheOperator"


def check_role(role: Manifest | None, username: str) -> None:
    """Raises NotTheOperatorError unless the role names this operator."""
    named = ((role or {}).get("metadata", {}).get("annotations") or {}).get(OPERATOR)
    if named == username:
        return
    found = f"names {named} as the operator" if named else "names no operator" if role is not None else "is missing"
    raise NotTheOperatorError(
        f"this operator is {username}, but ClusterRole {OPERATOR_ROLE} {found}; one release can run in a cluster: "
        f"remove this one, or apply its tenant-access.yaml (chart value tenantAccess.install) if it is the one to run"
    )


async def check_sole(cluster: Cluster, username: str) -> None:
    check_role(await cluster.get(ObjectKey(CLUSTER_ROLE, OPERATOR_ROLE)), username)


async def stay_sole(cluster: Cluster, username: str) -> None:
    """Look again and again. Raises NotTheOperatorError when another release has taken over."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await check_sole(cluster, username)
        except TransientError as error:
            log.warning("who is the operator cannot be looked at", error=error.message)
