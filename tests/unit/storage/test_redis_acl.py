import hashlib

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub.storage.redis_acl import build_rules, digest_password


def test_rules_confine_to_the_tenant_and_hide_the_password() -> None:
    rules = build_rules("acme", [digest_password("secret"), digest_password("former")])
    assert rules[:2] == ["reset", "on"]
    assert {f"#{hashlib.sha256(word).hexdigest()}" for word in (b"secret", b"former")} <= set(rules)
    assert [rule for rule in rules if rule[0] in "~&%"] == [
        "~dh:{acme}:*",
        "%R~dh:budget:{acme}:*",
        "&dh:{acme}:*",
    ]
    assert not [rule for rule in rules if rule.startswith("+@") or "secret" in rule or rule in {"nopass", "allkeys"}]
    granted = {rule for rule in rules if rule.startswith("+")}
    assert not granted & {"+keys", "+scan", "+flushall", "+acl", "+config", "+subscribe", "+client", "+script"}


@pytest.mark.parametrize("tenant", ["", "*", "a b", "acme:*", "A"])
def test_odd_names_are_refused(tenant: str) -> None:
    with pytest.raises(InvalidInputError):
        build_rules(tenant, [digest_password("secret")])
