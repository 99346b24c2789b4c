"""Private addresses behind public names, redirects and a DNS server that changes its mind: nobody there is visited."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sources.wild_internet import FORBIDDEN, PUBLIC, PUBLIC_6

ROOT = Path(__file__).parents[3]
NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--mount")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    command = [*NAMESPACE, sys.executable, "-m", "tests.integration.sources.wild_internet"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def test_nobody_but_the_public_servers_was_visited(report: dict[str, Any]) -> None:
    assert set(report["came"]) == {PUBLIC, PUBLIC_6}


def test_the_others_would_have_answered(report: dict[str, Any]) -> None:
    reached = set(report["unguarded"])
    assert reached >= set(FORBIDDEN) - {"192.168.1.1"}


def test_public_pages_are_read_over_both_protocols(report: dict[str, Any]) -> None:
    assert {"http://site.example/", "http://six.example/"} <= set(report["found"])


def test_of_several_addresses_only_the_public_one_is_used(report: dict[str, Any]) -> None:
    assert "http://both.example/" in report["found"]


def test_each_liar_is_named(report: dict[str, Any]) -> None:
    refused = {address for address, reason in report["skipped"].items() if reason == "AddressRefused"}
    assert refused >= {
        f"http://{name}.example/"
        for name in ("loopback", "loopback6", "mapped", "metadata", "metadata6", "cgnat", "private")
    }
    assert refused >= {"http://169.254.169.254/latest/meta-data/"}
    assert report["skipped"]["http://site.example/to-port"] == "LeftTheSite"


def test_a_name_that_changes_its_address_is_refused_when_it_does(report: dict[str, Any]) -> None:
    """robots.txt came from the public address; the page, a moment later, would have come from the loopback one."""
    assert report["rebound"][:2] == [PUBLIC, "127.0.0.1"]
    assert report["skipped"]["http://rebind.example/"] == "AddressRefused"


def test_a_crawl_that_starts_at_a_liar_ends(report: dict[str, Any]) -> None:
    assert set(report["starts"].values()) <= {"AddressRefused", "BadUrl"}
    assert len(report["starts"]) == 4
