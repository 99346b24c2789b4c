"""What the cluster is made of and when it is made anew: decisions, without Docker."""

import json
from pathlib import Path

import pytest

from hack.cluster import binaries
from hack.cluster.cluster import Step, choose_step
from hack.cluster.daemon import daemon_configuration, masquerade_rules
from hack.cluster.errors import ClusterError
from hack.cluster.images import Image, LoadPlan, canonical_name, parse_listing, plan_load
from hack.cluster.kind import Node, Record, cluster_configuration, parse_nodes, read_record, write_record
from hack.cluster.network.manifest import network_manifest
from hack.cluster.node_image import adapt_containerd, adapt_kubelet, read_storage_manifest
from hack.cluster.settings import PROJECT_FOLDER, read_settings

RUNNING, STOPPED = Node("a", "running", "i"), Node("b", "exited", "i")


@pytest.mark.parametrize(
    ("nodes", "record", "asked", "step"),
    [
        pytest.param([], None, None, Step.CREATE, id="nothing there"),
        pytest.param([], Record("i", own_network=True, nodes=1), 1, Step.CREATE, id="only the record is there"),
        pytest.param([RUNNING], Record("i", own_network=True, nodes=1), None, Step.KEEP, id="whole"),
        pytest.param([RUNNING], Record("i", own_network=True, nodes=1), 1, Step.KEEP, id="whole, as asked"),
        pytest.param([RUNNING], None, None, Step.RECREATE, id="half-made"),
        pytest.param([STOPPED], Record("i", own_network=True, nodes=1), None, Step.RECREATE, id="stopped"),
        pytest.param([RUNNING, STOPPED], Record("i", own_network=True, nodes=2), 2, Step.RECREATE, id="one killed"),
        pytest.param([RUNNING], Record("i", own_network=True, nodes=2), 2, Step.RECREATE, id="one gone"),
    ],
)
def test_what_up_does_with_what_is_there(
    nodes: list[Node], record: Record | None, asked: int | None, step: Step
) -> None:
    assert choose_step(nodes, record, asked) is step


def test_a_running_cluster_of_another_size_is_not_thrown_away() -> None:
    with pytest.raises(ClusterError, match="take it down first"):
        choose_step([RUNNING], Record("i", own_network=True, nodes=1), 3)


def test_record_survives_the_disk_and_a_broken_one_counts_as_none(tmp_path: Path) -> None:
    path, record = tmp_path / "record.json", Record("image", own_network=True, nodes=3)
    assert read_record(path) is None
    write_record(path, record)
    assert read_record(path) == record
    for broken in ("", "{", "[]", '{"image": "x"}', '{"other": 1}'):
        path.write_text(broken)
        assert read_record(path) is None


@pytest.mark.parametrize("nodes", [None, 1, 3])
def test_kind_is_asked_for_nodes_and_a_local_port(nodes: int | None) -> None:
    configuration = cluster_configuration(read_settings({}, nodes=nodes), own_network=True)
    roles = [node["role"] for node in configuration["nodes"]]
    assert roles == ["control-plane", *["worker"] * ((nodes or 1) - 1)]
    assert configuration["networking"]["disableDefaultCNI"] is True
    [port] = configuration["nodes"][0]["extraPortMappings"]
    assert port == {"containerPort": 30080, "hostPort": 8080, "listenAddress": "127.0.0.1"}


def test_nodes_are_read_from_docker() -> None:
    output = '{"Names":"x-control-plane","State":"running","Image":"node:1","More":1}\n\n'
    assert parse_nodes(output) == [Node("x-control-plane", "running", "node:1")]


def test_the_private_daemon_keeps_to_itself() -> None:
    settings = read_settings({"HOME": "/h"})
    configuration = daemon_configuration(settings, Path("/run/wrapper"))
    assert configuration["bridge"] == "none"
    assert configuration["iptables"] is False
    assert configuration["hosts"] == ["unix:///run/dreamhub-docker/docker.sock"]
    assert f'"{configuration["default-runtime"]}"' in json.dumps(configuration["runtimes"])
    assert "default-runtime" not in daemon_configuration(settings, None)
    assert 'iifname "dreamhub0" oifname != "dreamhub0" masquerade' in masquerade_rules(settings)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("dreamhub/worker:1", "docker.io/dreamhub/worker:1"),
        ("dreamhub/worker", "docker.io/dreamhub/worker:latest"),
        ("docker.io/dreamhub/worker:1", "docker.io/dreamhub/worker:1"),
        ("localhost/a:1", "localhost/a:1"),
        ("registry:5000/a", "registry:5000/a:latest"),
        ("dreamhub.local/network:1", "dreamhub.local/network:1"),
    ],
)
def test_full_names_of_images(name: str, full: str) -> None:
    assert canonical_name(name) == full


def test_only_what_a_node_lacks_is_sent() -> None:
    there, renamed, absent = (
        Image("docker.io/a:1", "sha256:a"),
        Image("docker.io/b:2", "sha256:b"),
        Image("c:1", "sha256:c"),
    )
    listing = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        "docker.io/a:1 application/vnd.oci.image.manifest.v1+json sha256:m1 8 MiB linux/amd64 x=y\n"
        "sha256:a application/vnd.oci.image.manifest.v1+json sha256:m1 8 MiB linux/amd64 x=y\n"
        "docker.io/b:2 application/vnd.oci.image.manifest.v1+json sha256:m0 8 MiB linux/amd64 x=y\n"
        "sha256:b application/vnd.oci.image.manifest.v1+json sha256:m2 8 MiB linux/amd64 x=y\n"
    )
    plan = plan_load([there, renamed, absent], parse_listing(listing))
    assert plan == LoadPlan(send=(absent,), name=(renamed,))


def test_programs_that_are_named_unlike_their_package_are_built_apart() -> None:
    steps = binaries.build_steps(binaries.KUBERNETES, Path("/bin"))
    assert [target for target, _ in steps] == ["/bin/", "/bin/etcd"]
    assert sorted(package for _, packages in steps for package in packages) == sorted(
        binaries.KUBERNETES.programs.values()
    )


def test_a_build_is_known_by_everything_that_shapes_it(tmp_path: Path) -> None:
    folder = tmp_path / "kind"
    folder.mkdir()
    (folder / "go.sum").write_text("one")
    first = binaries.fingerprint(binaries.KIND, tmp_path)
    assert binaries.fingerprint(binaries.KIND, tmp_path) == first
    (folder / "go.sum").write_text("two")
    assert binaries.fingerprint(binaries.KIND, tmp_path) != first


def test_every_module_is_committed_with_its_sums() -> None:
    for module in (*binaries.NODE_MODULES, binaries.KIND, binaries.HELM, binaries.LINT):
        folder = PROJECT_FOLDER / "modules" / module.name
        assert (folder / "go.mod").is_file()
        assert (folder / "go.sum").is_file() or "require" not in (folder / "go.mod").read_text()


def test_the_kind_that_is_asked_for_is_the_one_of_the_module() -> None:
    required = (PROJECT_FOLDER / "modules/kind/go.mod").read_text()
    assert f"sigs.k8s.io/kind {binaries.KIND_VERSION} " in required


def test_storage_manifest_is_taken_out_of_kinds_source() -> None:
    source = (
        'const storageProvisionerImage = "p:1"\nconst storageHelperImage = "h:1"\n'
        "const defaultStorageManifest = `\nimage: ` + storageProvisionerImage + `\n"
        "helper: ` + storageHelperImage + `\n`\n"
    )
    assert read_storage_manifest(source) == ("\nimage: p:1\nhelper: h:1\n", "p:1", "h:1")
    with pytest.raises(ClusterError, match="pin an earlier kind"):
        read_storage_manifest("const other = 1")


def test_kinds_files_are_adapted() -> None:
    text = 'sandbox_image = "registry.k8s.io/pause:3.10"\nrestrict_oom_score_adj = false\n'
    assert adapt_containerd(text) == 'sandbox_image = "registry.k8s.io/pause:3.10.1"\nrestrict_oom_score_adj = true\n'
    assert adapt_kubelet("KUBELET_EXTRA_ARGS=--a=b") == "KUBELET_EXTRA_ARGS=--a=b --fail-cgroupv1=false\n"


def test_a_changed_agent_rolls_the_daemon_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = read_settings({})
    (tmp_path / "agent").mkdir()
    (tmp_path / "manifest.yaml").write_text("sources: ${SOURCES} ${IMAGE} ${API_SERVER} ${POD_SUBNET}\n")
    monkeypatch.setattr("hack.cluster.network.manifest._FOLDER", tmp_path)
    texts = []
    for content in ("one", "two"):
        (tmp_path / "agent/__main__.py").write_text(content)
        texts.append(network_manifest(settings).splitlines()[0])
    assert texts[0] != texts[1]
    assert "dreamhub-control-plane:6443" in texts[0]
