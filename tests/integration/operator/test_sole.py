"""One release a cluster: the operator of another one refuses to work, and says whose the cluster is."""

from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import OperatorProcess, eventually, ready_tenant

ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/dreamhub-operator-tenant"


def named(operator: str) -> dict[str, dict[str, dict[str, str]]]:
    return {"metadata": {"annotations": {"dreamhub.dev/operator": operator}}}


async def test_an_operator_that_is_not_named_ends_and_the_named_one_works(api: Api, operator: OperatorProcess) -> None:
    await ready_tenant(api, "first-served")
    ours = (await api.ok("GET", ROLE))["metadata"]["annotations"]["dreamhub.dev/operator"]
    operator.stop()
    await api.merge(ROLE, named("system:serviceaccount:other:dreamhub-operator"))
    before = len(operator.log.read_text())
    operator.start()

    async def ended() -> bool:
        return not operator.is_running()

    try:
        await eventually(ended, "it has refused", 60)
        text = operator.log.read_text()[before:]
        assert "NotTheOperator" in text
        assert "names system:serviceaccount:other:dreamhub-operator" in text
    finally:
        await api.merge(ROLE, named(ours))
    operator.start()
    await ready_tenant(api, "served-again")
