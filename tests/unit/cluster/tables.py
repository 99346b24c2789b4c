"""Reads an nftables script back as far as the tests need: which lines guard an address."""

import re


def allowances(script: str, address: str, direction: str) -> list[str] | None:
    """What is let through for an address, sets written out and sorted; None when no policy isolates it."""
    chain = dict(re.findall(r"(\S+) : jump (\w+)", _body(script, f"map {direction}"))).get(address)
    if chain is None:
        return None
    lines = [line.strip() for line in _body(script, f"chain {chain}").splitlines()]
    if lines[-1] != "drop":
        raise ValueError(f"chain {chain} does not end with drop")
    allowed = [line.removesuffix("return").strip() for line in lines[:-1]]
    return sorted(re.sub(r"@(\w+)", lambda found: _elements(script, found[1]), line) for line in allowed)


def _elements(script: str, name: str) -> str:
    found = re.search(r"elements = (\{.*\})", _body(script, f"set {name}"))
    return found[1] if found else "{ }"


def _body(script: str, title: str) -> str:
    found = re.search(rf"^  {title} \{{\n(.*?)\n  \}}$", script, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"no {title} in:\n{script}")
    return found[1]
