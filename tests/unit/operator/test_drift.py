from typing import Any

import pytest

from dreamhub_operator.reconcile.drift import find_differences, find_editor, is_stamped_alike, stamp
from dreamhub_operator.reconcile.quantities import parse_quantity


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "labels": {"a": "1"}}, "spec": {"podSelector": {}, **spec}}


EGRESS = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]
WIDER = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP", "endPort": 65535}]}]


@pytest.mark.parametrize(
    ("desired", "live", "changed"),
    [
        (policy(), policy(), ()),
        (policy(), {"metadata": {"name": "p", "labels": {"a": "1", "b": "2"}}, "spec": {"podSelector": {}}}, ()),
        (policy(), {"metadata": {"name": "p"}, "spec": {"podSelector": {}}}, ("metadata.labels[a]",)),
        (policy(egress=EGRESS), policy(egress=EGRESS), ()),
        (policy(egress=EGRESS), policy(egress=[*EGRESS, *EGRESS]), ("spec.egress",)),
        (policy(egress=EGRESS), policy(egress=WIDER), ("spec.egress[0].ports[0].endPort",)),
        (policy(), policy(ingress=[{}]), ("spec.ingress",)),
        (policy(), policy(podSelector={"matchLabels": {"x": "y"}}), ("spec.podSelector.matchLabels",)),
        (policy(hard={"cpu": "0.5"}), policy(hard={"cpu": "500m"}), ()),
        (policy(hard={"cpu": "0.5"}), policy(hard={"cpu": "5"}), ("spec.hard.cpu",)),
        (policy(), {"metadata": {"name": "p", "labels": {"a": "1"}}}, ()),
    ],
)
def test_differences(desired: dict[str, Any], live: dict[str, Any], changed: tuple[str, ...]) -> None:
    assert find_differences(desired, live) == changed


def test_a_stamp_tells_our_change_of_mind_from_somebody_elses() -> None:
    ours = stamp(policy(egress=EGRESS))
    touched = {**ours, "spec": {"podSelector": {}}}
    assert is_stamped_alike(ours, touched)
    assert not is_stamped_alike(stamp(policy(egress=WIDER)), touched)
    assert not is_stamped_alike(ours, policy())


def test_the_editor_is_the_last_other_manager() -> None:
    entries = [
        {"manager": "dreamhub-operator", "time": "2026-01-03T00:00:00Z"},
        {"manager": "kubectl-edit", "time": "2026-01-02T00:00:00Z"},
        {"manager": "kubectl-create", "time": "2026-01-01T00:00:00Z"},
    ]
    assert find_editor({"metadata": {"managedFields": entries}}) == "kubectl-edit"
    assert find_editor({"metadata": {}}) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2", 2), ("1Gi", 2**30), ("1k", 1000), ("1.5", 1.5), ("lots", None), ("", None)],
)
def test_quantities(text: str, number: float | None) -> None:
    parsed = parse_quantity(text)
    assert (float(parsed) if parsed is not None else None) == number
