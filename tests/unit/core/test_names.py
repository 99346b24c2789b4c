"""Names decide isolation: two tenants never share one, and a hostile name is refused before it reaches SQL or Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub import names

tenant_names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)


@given(tenant_names, tenant_names)
def test_no_name_of_one_tenant_is_a_prefix_of_anothers(one: str, other: str) -> None:
    if one == other:
        return
    assert not names.redis_prefix(one).startswith(names.redis_prefix(other))
    assert not names.object_key(one, "ver_1").startswith(names.object_key(other, ""))
    assert names.namespace(one) != names.namespace(other)
    assert names.database_role(one) != names.database_role(other)


@given(tenant_names)
def test_a_namespace_leads_back_to_its_tenant(tenant: str) -> None:
    assert names.tenant_of_namespace(names.namespace(tenant)) == tenant
    assert len(names.namespace(tenant)) <= 63
    assert len(names.database_role(tenant)) <= 63


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", 'a"; drop', "a" * 41, "ä", "a\n"])
def test_a_hostile_or_malformed_name_is_no_tenant(name: str) -> None:
    assert not names.is_tenant_name(name)
    assert names.tenant_of_namespace(f"dh-{name}") is None


@pytest.mark.parametrize("namespace", ["default", "kube-system", "dh", "xdh-acme"])
def test_other_namespaces_belong_to_no_tenant(namespace: str) -> None:
    assert names.tenant_of_namespace(namespace) is None
