"""The memory of managed objects: what it keeps, what is news, what it forgets."""

from typing import Any

import pytest

from dreamhub_operator.children import Children
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.kinds import NAMESPACE, NETWORK_POLICY, SERVICE_ACCOUNT, Kind
from dreamhub_operator.reconcile.drift import DESIRED_HASH, find_differences, is_stamped_alike, stamp

OWNER = "tenant-uid"
KEY = ObjectKey(NETWORK_POLICY, "deny", "dh-acme")


def body(version: int = 5, space: str = "dh-acme", owner: str = OWNER, **parts: Any) -> dict[str, Any]:
    labels = {"dreamhub.dev/owner-uid": owner} if owner else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "deny",
            "namespace": space,
            "uid": "np-uid",
            "resourceVersion": str(version),
            "labels": labels,
            "annotations": {DESIRED_HASH: "x", "of-others": "y" * 1000},
            "managedFields": [{"manager": "m" * 1000}],
        },
        "spec": {"podSelector": {}},
        **parts,
    }


@pytest.fixture
def children() -> Children:
    children = Children()
    assert children.put(NETWORK_POLICY, body()) == "dh-acme"
    return children


def test_what_is_recalled_differs_where_the_object_does(children: Children) -> None:
    desired = stamp(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny", "namespace": "dh-acme", "labels": {"dreamhub.dev/owner-uid": OWNER}},
            "spec": {"podSelector": {}},
        }
    )
    digest = desired["metadata"]["annotations"][DESIRED_HASH]
    good = body(6)
    good["metadata"]["annotations"] = {DESIRED_HASH: digest}
    children.put(NETWORK_POLICY, good)
    recalled = children.of("dh-acme", OWNER)[KEY]
    assert find_differences(desired, recalled) == ()
    assert is_stamped_alike(desired, recalled)
    bad = {
        **good,
        "metadata": {**good["metadata"], "resourceVersion": "7"},
        "spec": {"podSelector": {}, "egress": [{}]},
    }
    assert children.put(NETWORK_POLICY, bad) == "dh-acme"
    assert find_differences(desired, children.of("dh-acme", OWNER)[KEY]) == ("spec.egress",)


def test_nothing_is_kept_that_is_not_compared(children: Children) -> None:
    recalled = children.of("dh-acme", OWNER)[KEY]
    assert recalled["metadata"]["annotations"] == {DESIRED_HASH: "x"}
    assert "managedFields" not in recalled["metadata"]
    assert children.put(NETWORK_POLICY, body(6, status={"used": 1})) is None


def test_echoes_and_what_is_behind_are_no_news(children: Children) -> None:
    assert children.put(NETWORK_POLICY, body(5, spec={})) is None
    assert children.put(NETWORK_POLICY, body(4, spec={})) is None
    assert children.put(NETWORK_POLICY, body(6)) is None
    assert children.put(NETWORK_POLICY, body(7, spec={})) == "dh-acme"


@pytest.mark.parametrize("space", ["default", "kube-system", "dh-", "dh-UPPER"])
def test_other_namespaces_are_not_remembered(space: str) -> None:
    children = Children()
    assert children.put(NETWORK_POLICY, body(space=space)) is None
    assert len(children) == 0


def test_a_namespace_lies_in_itself(children: Children) -> None:
    metadata = {"name": "dh-acme", "uid": "u", "resourceVersion": "9", "labels": {"dreamhub.dev/owner-uid": OWNER}}
    assert children.put(NAMESPACE, {"metadata": metadata}) == "dh-acme"
    assert ObjectKey(NAMESPACE, "dh-acme") in children.of("dh-acme", OWNER)


@pytest.mark.parametrize("owner", ["", "another-uid"])
def test_objects_of_others_are_foreign_whatever_they_claim(children: Children, owner: str) -> None:
    assert children.foreign("dh-acme", OWNER) == ()
    assert children.put(NETWORK_POLICY, body(6, owner=owner)) == "dh-acme"
    assert children.of("dh-acme", OWNER) == {}
    assert children.foreign("dh-acme", OWNER) == ("NetworkPolicy/deny",)


def test_no_owner_owns_nothing(children: Children) -> None:
    """An empty UID must never match the objects without one."""
    children.put(NETWORK_POLICY, body(6, owner=""))
    assert children.of("dh-acme", "") == {}


def test_a_late_farewell_does_not_drop_what_was_made_since(children: Children) -> None:
    assert children.drop(NETWORK_POLICY, body(4)) is None
    assert children.drop(NETWORK_POLICY, body(6)) == "dh-acme"
    assert children.drop(NETWORK_POLICY, body(6)) is None
    assert len(children) == 0


@pytest.mark.parametrize(
    ("kind", "listed", "version", "left"),
    [
        (NETWORK_POLICY, [], 10, 0),
        (NETWORK_POLICY, [KEY], 10, 1),
        (NETWORK_POLICY, [], 4, 1),
        (SERVICE_ACCOUNT, [], 10, 1),
    ],
)
def test_what_a_list_does_not_show_is_gone_unless_it_is_newer(
    children: Children, kind: Kind, listed: list[ObjectKey], version: int, left: int
) -> None:
    concerned = children.settle(kind, listed, version)
    assert concerned == (set() if left else {"dh-acme"})
    assert len(children) == left
