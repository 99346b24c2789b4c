"""What a job that reads a source upstream is given, and what it is kept from."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.job_input import OpenNetwork
from dreamhub_operator.desired.job import build_job
from dreamhub_operator.desired.network import build_network_policies
from dreamhub_operator.desired.source import SECRET_DIRECTORY, describe_source
from dreamhub_operator.settings import Dns, PrivateNetwork
from tests.unit.operator.builders import ingest_job, tenant
from tests.unit.operator.test_desired import WORKER

SECRET = {"secretRef": {"name": "mailbox"}}
OWN_BUCKET = {"endpoint": "https://s3.example.com", "bucket": "theirs", **SECRET}
SOURCES: dict[str, tuple[dict[str, Any], bool]] = {
    "import folder": ({"s3": {"prefix": "handbook/"}}, False),
    "own bucket": ({"s3": OWN_BUCKET}, True),
    "web": ({"web": {"urls": ["https://example.com/"]}}, True),
    "imap": ({"mail": {"imap": {"host": "imap.example.com", **SECRET}}}, True),
    "mbox": ({"mail": {"mbox": {"prefix": "mail/"}}}, False),
    "calendar": ({"calendar": {"url": "https://example.com/a.ics", **SECRET}}, True),
    "plugin": ({"plugin": {"name": "wiki", "config": {"space": "HR"}}}, True),
    "documents": ({"documents": {"ids": ["doc_" + "0" * 32]}}, False),
    "inline": ({"inline": {"name": "a.md", "text": "b"}}, False),
}


def pod_of(job: IngestJob) -> dict[str, Any]:
    template: dict[str, Any] = build_job("acme", job, WORKER, 0)["spec"]["template"]
    return template


@pytest.mark.parametrize(("source", "outside"), SOURCES.values(), ids=SOURCES)
def test_only_pods_that_have_to_leave_the_cluster_may(source: dict[str, Any], outside: bool) -> None:  # noqa: FBT001 - a column
    labels = pod_of(ingest_job(source=source))["metadata"]["labels"]
    policy = build_network_policies(tenant(), [], Dns())[2]
    wanted = policy["spec"]["podSelector"]["matchLabels"]
    assert (wanted.items() <= labels.items()) is outside


@pytest.mark.parametrize(("source", "_"), SOURCES.values(), ids=SOURCES)
def test_the_named_secret_is_mounted_and_no_other(source: dict[str, Any], _: bool) -> None:  # noqa: FBT001 - a column
    spec = pod_of(ingest_job(source=source))["spec"]
    volumes = [volume for volume in spec["volumes"] if volume["name"] == "source"]
    mounts = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "source"]
    named = "mailbox" in str(source)
    assert [(volume["secret"]["secretName"], volume["secret"]["optional"]) for volume in volumes] == [
        ("mailbox", True)
    ] * named
    assert mounts == [{"name": "source", "mountPath": SECRET_DIRECTORY, "readOnly": True}] * named


@pytest.mark.parametrize(("source", "_"), SOURCES.values(), ids=SOURCES)
def test_the_worker_is_told_where_its_secret_is_but_not_what_it_is_called(source: dict[str, Any], _: bool) -> None:  # noqa: FBT001 - a column
    told = describe_source(ingest_job(source=source).spec.source, (), ())
    [kind] = source
    assert (told is None) == (kind in {"documents", "inline"})
    if told is not None:
        assert told.kind == kind
        assert (told.secret_dir is not None) == ("mailbox" in str(source))
        assert "mailbox" not in told.model_dump_json()


def test_a_plugin_is_found_by_its_name_and_told_its_config() -> None:
    told = describe_source(ingest_job(source=SOURCES["plugin"][0]).spec.source, (), ())
    assert told is not None
    assert (told.kind, told.reader, told.config) == ("plugin", "wiki", {"space": "HR"})


def test_worker_and_policy_open_the_same_private_networks() -> None:
    platform = [PrivateNetwork.model_validate({"cidr": "10.20.0.0/16", "ports": [443]})]
    named = {"egress": [{"to": "192.168.7.0/24", "ports": [993]}]}
    told = describe_source(
        ingest_job(source=SOURCES["web"][0]).spec.source, tenant(network=named).spec.network.egress, platform
    )
    assert told is not None
    assert told.networks == (
        OpenNetwork(cidr="10.20.0.0/16", ports=(443,)),
        OpenNetwork(cidr="192.168.7.0/24", ports=(993,)),
    )
    _, workers, sources = build_network_policies(tenant(network=named), [], Dns(), platform)
    assert workers["spec"]["egress"][-1]["to"] == [{"ipBlock": {"cidr": "192.168.7.0/24"}}]
    assert sources["spec"]["egress"][-1]["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "127.0.0.1",
        "169.254.169.254",
        "172.20.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd00::1",
        "fe80::1",
        "::1",
    ],
)
def test_the_policy_keeps_sources_from_private_addresses(address: str) -> None:
    assert not is_open(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_the_policy_lets_sources_reach_the_internet(address: str) -> None:
    assert is_open(address)


def is_open(address: str) -> bool:
    number = ip_address(address)
    blocks = [rule["to"][0]["ipBlock"] for rule in build_network_policies(tenant(), [], Dns())[2]["spec"]["egress"]]
    return any(
        number in ip_network(block["cidr"]) and not any(number in ip_network(closed) for closed in block["except"])
        for block in blocks
    )


def test_what_makes_it_the_same_source_does_not_hang_on_limits() -> None:
    def identity(**web: Any) -> str:
        told = describe_source(ingest_job(source={"web": web}).spec.source, (), ())
        assert told is not None
        return told.identity

    urls = ["https://example.com/", "https://example.org/"]
    assert identity(urls=urls) == identity(urls=urls[::-1], maxPages=7, maxDepth=3)
    assert identity(urls=urls) != identity(urls=urls[:1])
