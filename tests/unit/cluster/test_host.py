"""What the cluster's tool reads off the machine: packages, rights, mounts, processes, versions."""

import pytest

from hack.cluster.errors import ClusterError, CommandError
from hack.cluster.host import has_capability, missing_packages
from hack.cluster.leftovers import is_daemon_part, mounts_below
from hack.cluster.settings import read_settings
from hack.cluster.toolchain import parse_version

MOUNTINFO = """\
20 1 0:19 / / rw - ext4 /dev/vda rw
31 20 0:27 / /run rw - tmpfs tmpfs rw
40 31 0:4 net:[1] /run/dreamhub-docker/exec/netns/default rw - nsfs nsfs rw
41 20 0:40 / /cache/docker/overlay2/a/merged rw - overlay overlay rw
42 41 0:41 / /cache/docker/overlay2/a/merged/with\\040space rw - tmpfs tmpfs rw
43 20 0:42 / /cache/docker-other/x rw - tmpfs tmpfs rw
"""


def test_each_missing_package_is_named_once() -> None:
    programs = {"dockerd": "docker.io", "docker": "docker.io", "jq": "jq", "ip": "iproute2"}
    assert missing_packages(programs, {"ip"}.__contains__) == ["docker.io", "jq"]
    assert missing_packages(programs, lambda _: True) == []


@pytest.mark.parametrize(
    ("bounding", "expected"), [("000001fffeffffff", False), ("000001ffffffffff", True), ("0000000000000000", False)]
)
def test_a_capability_is_read_from_the_bounding_set(bounding: str, *, expected: bool) -> None:
    status = f"Name:\tpython\nCapEff:\t000001ffffffffff\nCapBnd:\t{bounding}\n"
    assert has_capability(status, 24) is expected


def test_mounts_of_ours_deepest_first_and_no_others() -> None:
    assert mounts_below(MOUNTINFO, ("/run/dreamhub-docker", "/cache/docker")) == (
        "/cache/docker/overlay2/a/merged/with space",
        "/cache/docker/overlay2/a/merged",
        "/run/dreamhub-docker/exec/netns/default",
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/usr/sbin/dockerd", "--config-file", "/run/x-docker/daemon.json"], True),
        (["containerd-shim-runc-v2", "-address", "/run/x-docker/exec/containerd/containerd.sock"], True),
        (["/usr/bin/containerd-shim", "-address", "unix:///run/x-docker/exec/a.sock"], True),
        (["vim", "/run/x-docker/daemon.json"], False),
        (["dockerd", "--config-file", "/run/x-docker-two/daemon.json"], False),
        (["dockerd"], False),
        ([""], False),
    ],
)
def test_processes_of_our_daemon(command: list[str], *, expected: bool) -> None:
    assert is_daemon_part(command, "/run/x-docker") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.19 linux/amd64", (1, 19)),
        ("go version devel +abc", (0, 0)),
    ],
)
def test_version_of_go(text: str, expected: tuple[int, int]) -> None:
    assert parse_version(text) == expected


def test_settings_come_from_the_environment() -> None:
    settings = read_settings({"HOME": "/home/a", "NODES": "3"})
    assert (settings.nodes, settings.port, settings.name) == (3, 8080, "dreamhub")
    assert str(settings.kubeconfig) == "/home/a/.cache/dreamhub/cluster/kubeconfig"
    assert read_settings({"NODES": "3"}, nodes=2).nodes == 2
    assert read_settings({}).nodes is None


def test_a_second_cluster_shares_nothing_but_the_programs() -> None:
    first, second = read_settings({"HOME": "/h"}), read_settings({"HOME": "/h", "DREAMHUB_CLUSTER": "other"})
    for name in ("kubeconfig", "record", "images", "runtime", "docker_host", "bridge", "logs"):
        assert getattr(first, name) != getattr(second, name)
    assert first.binaries == second.binaries


@pytest.mark.parametrize("environment", [{"NODES": "many"}, {"NODES": "0"}, {"NODES": "10"}, {"DREAMHUB_PORT": "-1"}])
def test_impossible_settings_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ClusterError):
        read_settings(environment)


@pytest.mark.parametrize("name", ["Upper", "a b", "../x", "", "x" * 15])
def test_names_that_could_become_paths_are_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="DREAMHUB_CLUSTER"):
        read_settings({"DREAMHUB_CLUSTER": name})


def test_a_failed_command_shows_its_end() -> None:
    error = CommandError(["go", "build"], 2, "\n".join(f"line {number}" for number in range(100)))
    assert str(error).startswith("`go build` failed with exit code 2:\nline 85\n")
    assert str(error).endswith("line 99")
