"""The rendered chart: what must hold for every case, and what each case asks for."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from dreamhub.llm.models import parse_models
from dreamhub_operator.settings import EgressRule
from hack.install.release import TAG_VALUES, Upgrade
from tests.unit.chart.conftest import CASES, CHART, Objects, pod_of

Render = Callable[..., Objects]
SERVICES = ("dreamhub-operator", "dreamhub-api-server")


def pods(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), rendered in objects.items():
        if (pod := pod_of(rendered)) is not None:
            yield f"{kind}/{name}", pod


def env_of(objects: Objects, deployment: str) -> dict[str, str]:
    container = objects["Deployment", deployment]["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


@pytest.mark.parametrize("case", [None, *CASES])
def test_every_pod_fits_the_restricted_standard(render: Render, case: str | None) -> None:
    for name, pod in pods(render(case)):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"requests", "limits"} <= set(container["resources"]), name


@pytest.mark.parametrize("case", [None, *CASES])
def test_only_the_two_services_get_a_token(render: Render, case: str | None) -> None:
    for name, pod in pods(render(case)):
        assert pod["automountServiceAccountToken"] is name.endswith(SERVICES), name


@pytest.mark.parametrize("case", [None, *CASES])
def test_what_is_mounted_exists(render: Render, case: str | None) -> None:
    """A ConfigMap or Secret of the release that a pod mounts is rendered; others are the user's own."""
    objects = render(case)
    for name, pod in pods(objects):
        for volume in pod.get("volumes", ()):
            sources = [volume, *volume.get("projected", {}).get("sources", ())]
            for source in sources:
                if secret := source.get("secret"):
                    wanted = secret.get("secretName") or secret["name"]
                    rendered = objects.get(("Secret", wanted))
                    assert rendered or case in {"external.yaml", "own-secrets.yaml"}, f"{name} mounts {wanted}"
                    if rendered:
                        assert {item["key"] for item in secret.get("items", ())} <= set(rendered["stringData"])
                if config := source.get("configMap"):
                    assert ("ConfigMap", config["name"]) in objects, name


@pytest.mark.parametrize("case", [None, *CASES])
def test_selectors_find_their_pods_and_nothing_else(render: Render, case: str | None) -> None:
    objects = render(case)
    labels = {
        name: rendered["spec"]["template"]["metadata"]["labels"]
        for (kind, name), rendered in objects.items()
        if kind in {"Deployment", "StatefulSet", "Job"}
    }
    for (kind, name), rendered in objects.items():
        if kind == "Service":
            selector = rendered["spec"]["selector"]
            found = [owner for owner, own in labels.items() if selector.items() <= own.items()]
            assert len(found) == 1, f"{name} finds {found}"


def test_crds_are_upgraded_with_the_release_and_outlive_it(render: Render) -> None:
    crds = {name: rendered for (kind, name), rendered in render().items() if kind == "CustomResourceDefinition"}
    assert set(crds) == {"ingestjobs.dreamhub.dev", "tenants.dreamhub.dev"}
    for crd in crds.values():
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not any(kind == "CustomResourceDefinition" for kind, _ in render(crds={"install": False}))


def test_the_wiring_of_passwords_and_urls_is_one(render: Render) -> None:
    """The password in a URL is the one that the server is given, although both are random."""
    objects = render()
    data = objects["Secret", "dreamhub-postgres"]["stringData"]
    host = "dreamhub-postgres.dreamhub-system.svc:5432/dreamhub"
    assert data["migrate-url"] == f"postgresql://dreamhub_owner:{data['owner-password']}@{host}"
    assert data["api-url"] == f"postgresql://dreamhub_api:{data['api-password']}@{host}"
    assert len({data["owner-password"], data["api-password"], data["operator-password"]}) == 3
    redis = objects["Secret", "dreamhub-redis"]["stringData"]
    assert redis["operator-url"].startswith(f"redis://dreamhub_operator:{redis['operator-password']}@dreamhub-redis.")


def test_the_operator_reads_what_the_chart_writes(render: Render) -> None:
    env = env_of(render(), "dreamhub-operator")
    rules = [EgressRule.model_validate(rule) for rule in json.loads(env["DREAMHUB_EGRESS"])]
    assert [(rule.namespace, rule.ports) for rule in rules] == [
        ("dreamhub-system", (5432,)),
        ("dreamhub-system", (6379,)),
        ("dreamhub-system", (8333,)),
        ("dreamhub-system", (8081,)),
    ]
    assert env["DREAMHUB_WORKER_IMAGE"].startswith("dreamhub/worker:")
    assert env["DREAMHUB_TENANT_DATABASE_ADDRESS"] == "dreamhub-postgres.dreamhub-system.svc:5432/dreamhub"


def test_workers_reach_the_api_server_where_it_gives_links_and_nobody_else_does(render: Render) -> None:
    objects = render("high-availability.yaml")
    service = objects["Service", "dreamhub-api-internal"]["spec"]
    assert service["type"] == "ClusterIP"
    assert env_of(objects, "dreamhub-operator")["DREAMHUB_LINKS_URL"] == (
        f"http://dreamhub-api-internal.dreamhub-system.svc:{service['ports'][0]['port']}"
    )
    rules = objects["NetworkPolicy", "dreamhub-api-server"]["spec"]["ingress"]
    [internal] = [rule for rule in rules if rule["ports"] == [{"port": "internal", "protocol": "TCP"}]]
    assert internal["from"] == [
        {
            "namespaceSelector": {"matchExpressions": [{"key": "dreamhub.dev/tenant", "operator": "Exists"}]},
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "worker"}},
        }
    ]
    [path] = objects["Ingress", "dreamhub-api-server"]["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == "dreamhub-api"


def test_both_services_have_the_same_key_for_job_tokens(render: Render) -> None:
    objects = render()
    assert len(objects["Secret", "dreamhub-job-tokens"]["stringData"]["current"]) == 32
    for deployment in SERVICES:
        volumes = objects["Deployment", deployment]["spec"]["template"]["spec"]["volumes"]
        [volume] = [volume for volume in volumes if volume["name"] == "job-tokens"]
        assert volume["secret"]["secretName"] == "dreamhub-job-tokens"
        assert env_of(objects, deployment)["DREAMHUB_JOB_TOKEN_KEYS_DIR"] == "/var/run/dreamhub/job-tokens"


def test_external_servers_replace_embedded_ones(render: Render) -> None:
    objects = render("external.yaml")
    assert not [name for kind, name in objects if kind in {"StatefulSet", "Secret"}]
    env = env_of(objects, "dreamhub-operator")
    assert env["DREAMHUB_TENANT_REDIS_ADDRESS"] == "redis.example.com:6379"
    rules = [EgressRule.model_validate(rule) for rule in json.loads(env["DREAMHUB_EGRESS"])]
    cidrs = [str(rule.cidr) for rule in rules if rule.namespace is None]
    assert cidrs == ["10.1.2.0/24", "10.1.3.0/24", "0.0.0.0/0", "0.0.0.0/0"]
    assert env_of(objects, "dreamhub-api-server")["DREAMHUB_S3_ENDPOINT"].startswith("https://s3.eu-central-1")


@pytest.mark.parametrize("case", [None, "external.yaml"])
def test_the_model_list_is_one_that_the_services_read(render: Render, case: str | None) -> None:
    text = render(case)["ConfigMap", "dreamhub-models"]["data"]["models.yaml"]
    assert parse_models(text).find("chat", "builtin/extractive").builtin


@pytest.mark.parametrize("part", ["postgres", "redis", "s3"])
def test_an_external_server_without_its_secret_is_refused_with_the_value_s_name(render: Render, part: str) -> None:
    where = {"endpoint": "https://s3.example.com"} if part == "s3" else {"address": "server.example.com:1"}
    with pytest.raises(ValueError, match=rf"{part}\.external\.existingSecret: name a Secret"):
        render(**{part: {"embedded": {"enabled": False}, "external": where}})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"operatr": {}}, "additional properties 'operatr' not allowed"),
        ({"operator": {"replicas": "two"}}, "got string, want integer"),
        ({"postgres": {"embedded": {"storage": {"size": "ten"}}}}, "/postgres/embedded/storage/size"),
        ({"models": {"available": []}}, "/models/available"),
        ({"apiServer": {"service": {"type": "Public"}}}, "/apiServer/service/type"),
    ],
)
def test_wrong_values_are_refused(render: Render, values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        render(**values)


def test_settings_of_the_embedded_database_are_quoted(render: Render) -> None:
    values = {"postgres": {"embedded": {"settings": {"shared_buffers": "1GB", "log_line_prefix": "it's %m"}}}}
    settings = render(**values)["ConfigMap", "dreamhub-postgres"]["data"]["settings.conf"]
    assert settings == "log_line_prefix = 'it''s %m'\nshared_buffers = '1GB'\n"


def test_the_embedded_servers_let_in_the_platform_and_tenants_only(render: Render) -> None:
    policy = render()["NetworkPolicy", "dreamhub-postgres"]["spec"]
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": 5432, "protocol": "TCP"}]
    services, tenants = rule["from"]
    assert services["podSelector"]["matchExpressions"][0]["values"] == ["api-server", "operator", "migrate"]
    assert tenants == {
        "namespaceSelector": {"matchExpressions": [{"key": "dreamhub.dev/tenant", "operator": "Exists"}]}
    }


def test_a_changed_migration_job_is_another_job(render: Render) -> None:
    """A Job cannot be changed, and a killed upgrade may have made one under the revision that the next one gets."""
    (first,) = [name for kind, name in render() if kind == "Job"]
    assert ("Job", first) in render()
    assert ("Job", first) not in render(logLevel="DEBUG")
    assert ("Job", first) not in render(image={"tag": "2"})


def test_a_digest_wins_over_a_tag_and_the_registry_goes_in_front(render: Render) -> None:
    digest = f"sha256:{'0' * 64}"
    objects = render(image={"registry": "r.example/x", "tag": "9"}, worker={"image": {"digest": digest}})
    assert env_of(objects, "dreamhub-operator")["DREAMHUB_WORKER_IMAGE"] == f"r.example/x/dreamhub/worker@{digest}"
    containers = objects["Deployment", "dreamhub-operator"]["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == "r.example/x/dreamhub/operator:9"


def test_another_release_name_keeps_its_objects_apart(render: Render) -> None:
    names = {name for kind, name in render(release="kb") if kind in {"Deployment", "StatefulSet"}}
    assert {"kb-dreamhub-operator", "kb-dreamhub-postgres"} <= names


def test_each_image_has_a_value_for_its_tag() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in TAG_VALUES.values():
        node = values
        for key in path.split("."):
            node = node[key]
        assert node == ""


def test_the_install_command_names_the_images_and_lets_the_user_win() -> None:
    images = {"operator": "dreamhub/operator:abc"}
    upgrade = Upgrade("ns", images, keep_values=True, node_port=30080, timeout_seconds=60, settings=["logLevel=DEBUG"])
    command = upgrade.command("helm")
    assert "operator.image.tag=abc" in command
    assert "--reset-then-reuse-values" in command
    assert command.index("apiServer.service.nodePort=30080") < command.index("logLevel=DEBUG")


def annotations_of(objects: Objects, kind: str, name: str) -> dict[str, str]:
    found: dict[str, str] = objects[kind, name]["spec"]["template"]["metadata"]["annotations"]
    return found


def test_secrets_from_outside_replace_generated_ones(render: Render) -> None:
    """Each of them, so that External Secrets or Vault can hold every login."""
    objects = render("own-secrets.yaml")
    assert [name for kind, name in objects if kind == "Secret"] == []
    mounted = set()
    for _, pod in pods(objects):
        for volume in pod.get("volumes", ()):
            for source in (volume, *volume.get("projected", {}).get("sources", ())):
                if secret := source.get("secret"):
                    mounted.add(secret.get("secretName") or secret["name"])
    assert mounted == {"own-postgres", "own-redis", "own-s3", "own-model-keys", "own-job-tokens"}


def test_a_changed_secret_restarts_the_embedded_servers_and_no_service(render: Render) -> None:
    """Services read their logins anew; generated passwords differ between two renderings without a cluster."""
    first, second = render(None), render(None)
    for name in SERVICES:
        assert annotations_of(first, "Deployment", name) == annotations_of(second, "Deployment", name)
    for part in ("postgres", "redis", "s3"):
        name = f"dreamhub-{part}"
        assert annotations_of(first, "StatefulSet", name) != annotations_of(second, "StatefulSet", name)


@pytest.mark.parametrize("case", [None, *CASES])
def test_secrets_are_files_that_follow_their_secret(render: Render, case: str | None) -> None:
    """No value of a Secret in an environment variable, and no mount that would never be updated."""
    for name, pod in pods(render(case)):
        secret = {v["name"] for v in pod.get("volumes", ()) if "secret" in v or "projected" in v}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert "envFrom" not in container, name
            assert all("secretKeyRef" not in e.get("valueFrom", {}) for e in container.get("env", ())), name
            mounts = [m for m in container.get("volumeMounts", ()) if m["name"] in secret]
            assert all("subPath" not in mount for mount in mounts), name
