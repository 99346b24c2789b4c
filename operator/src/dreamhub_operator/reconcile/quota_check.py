"""Why a Job gets no pod: the Job itself does not say it, but the quota's numbers do. Pure."""

from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.quantities import parse_quantity
from dreamhub_operator.settings import WorkerResources


def explain_refusal(quota: Manifest, worker: WorkerResources) -> str | None:
    """The first resource of which one more worker would take too much, as a sentence; None when it would fit."""
    status = quota.get("status", {})
    hard, used = status.get("hard", {}), status.get("used", {})
    wanted = {f"requests.{name}": amount for name, amount in worker.requests.items()}
    wanted |= {f"limits.{name}": amount for name, amount in worker.limits.items()}
    for name, amount in wanted.items():
        limit, taken, more = (parse_quantity(str(text)) for text in (hard.get(name, ""), used.get(name, "0"), amount))
        if limit is not None and taken is not None and more is not None and taken + more > limit:
            return (
                f"the tenant's quota of {name} is {hard[name]}, {used.get(name, '0')} of it is in use and a worker "
                f"takes {amount}; it starts when other jobs have ended, or raise spec.resources of the Tenant"
            )
    return None
