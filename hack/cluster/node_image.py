"""Builds the image of a kind node from Debian packages and the programs of `binaries`, once (about 3 min)."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import binaries
from hack.cluster.command import follow, run, succeeds
from hack.cluster.daemon import Daemon
from hack.cluster.debian import ensure_own_base_image
from hack.cluster.errors import ClusterError
from hack.cluster.network.manifest import NETWORK_IMAGE
from hack.cluster.progress import Progress, Stage
from hack.cluster.settings import KUBERNETES_VERSION, OWN_BASE_IMAGE, PROJECT_FOLDER, Settings
from hack.cluster.toolchain import find_go

_SOURCES = PROJECT_FOLDER / "node"
_PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True, slots=True)
class KindSources:
    """What the node takes out of kind's own module: files of its base image and the storage manifest."""

    files: Path
    storage: str
    provisioner_image: str
    helper_image: str


def own_node_image() -> str:
    """Name of the node image that today's sources give; a change of any of them gives another name."""
    digest = hashlib.sha256("".join(binaries.fingerprint(module) for module in _modules()).encode())
    for path in sorted(_SOURCES.iterdir()):
        digest.update(path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return f"dreamhub/node:v{KUBERNETES_VERSION}-{digest.hexdigest()[:12]}"


def ensure_node_image(settings: Settings, daemon: Daemon, progress: Progress) -> str:
    """Build the node image if the daemon has it not, and return its name."""
    image = own_node_image()
    if daemon.has_image(image):
        return image
    ensure_own_base_image(settings, daemon, progress)
    binaries.build(settings, _modules(), progress)
    builder = _Builder(settings, daemon, settings.cache / "context")
    with progress.stage("Build the images of the control plane") as stage:
        kind = builder.read_kind_sources(stage)
        archive = builder.build_archive(kind, stage)
    with progress.stage("Build the node's image") as stage:
        builder.build_node(kind, stage)
        builder.commit(archive, image, stage)
    _forget_older(daemon, image)
    return image


def read_storage_manifest(source: str) -> tuple[str, str, str]:
    """(manifest, provisioner image, helper image) out of kind's const_storage.go."""
    images = dict(re.findall(r'const (storage\w+Image) = "([^"]+)"', source))
    manifest = re.search(r"const defaultStorageManifest = `(.*)`\s*\Z", source, re.DOTALL)
    if manifest is None or not {"storageProvisionerImage", "storageHelperImage"} <= images.keys():
        raise ClusterError("The kind module no longer keeps its storage manifest where it did; pin an earlier kind.")
    filled = re.sub(r"` \+ (\w+) \+ `", lambda found: images[found[1]], manifest[1])
    return filled, images["storageProvisionerImage"], images["storageHelperImage"]


def adapt_containerd(text: str) -> str:
    """Kind's containerd configuration with our pause image; an OOM score below the parent's may not be set here."""
    text = text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    return re.sub(r'sandbox_image = ".*"', f'sandbox_image = "{_PAUSE_IMAGE}"', text)


def adapt_kubelet(text: str) -> str:
    """Kind's kubelet options; Kubernetes 1.35 still runs on cgroup v1 when asked to."""
    return f"{text.strip()} --fail-cgroupv1=false\n"


def _forget_older(daemon: Daemon, image: str) -> None:
    """Each node image takes 2 GB; those that a cluster still runs stay, since Docker refuses."""
    listed = daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}", image.partition(":")[0]).split()
    for older in listed:
        if older != image:
            succeeds(["docker", "rmi", older], environment=daemon.environment)


def _modules() -> tuple[binaries.Module, ...]:
    return (*binaries.NODE_MODULES, binaries.KIND)


@dataclass(frozen=True, slots=True)
class _Builder:
    settings: Settings
    daemon: Daemon
    context: Path

    def read_kind_sources(self, stage: Stage) -> KindSources:
        go = find_go(self.settings, stage.note)
        module = PROJECT_FOLDER / "modules/kind"
        folder = Path(run([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"], folder=module).strip())
        source = (folder / "pkg/build/nodeimage/const_storage.go").read_text(encoding="utf-8")
        return KindSources(folder / "images/base/files", *read_storage_manifest(source))

    def build_archive(self, kind: KindSources, stage: Stage) -> Path:
        """Build every image that a node must hold and save them into one archive."""
        images = []
        for program, image, more in self._static_images(kind):
            stage.note(image)
            self._build_static(program, image, more)
            images.append(image)
        stage.note(NETWORK_IMAGE)
        folder = self._fresh("network")
        os.link(self.settings.binaries / "kube-proxy", folder / "kube-proxy")
        self._build(folder, _SOURCES / "Dockerfile.network", NETWORK_IMAGE, OWN_BASE_IMAGE)
        images.append(NETWORK_IMAGE)
        for alias in (f"registry.k8s.io/kube-proxy:v{KUBERNETES_VERSION}", kind.helper_image):
            self.daemon.docker("tag", NETWORK_IMAGE, alias)
            images.append(alias)
        archive = self.context / "images.tar"
        self.daemon.docker("save", "--output", str(archive), *images)
        return archive

    def build_node(self, kind: KindSources, stage: Stage) -> None:
        """The node without its images: packages, kind's files, Kubernetes' programs."""
        folder = self._fresh("node")
        files = folder / "files"
        shutil.copytree(kind.files, files, copy_function=shutil.copyfile)
        for script in [*(files / "usr/local/bin").iterdir(), *(files / "kind/bin").iterdir()]:
            script.chmod(0o755)
        _rewrite(files / "etc/containerd/config.toml", adapt_containerd)
        _rewrite(files / "etc/default/kubelet", adapt_kubelet)
        (files / "usr/bin").mkdir()
        for program in ("kubeadm", "kubelet", "kubectl"):
            os.link(self.settings.binaries / program, files / "usr/bin" / program)
        (files / "kind/manifests").mkdir()
        (files / "kind/manifests/default-storage.yaml").write_text(kind.storage, encoding="utf-8")
        (files / "kind/version").write_text(f"v{KUBERNETES_VERSION}", encoding="utf-8")
        stage.note("Debian packages")
        self._build(folder, _SOURCES / "Dockerfile", "dreamhub/node-empty", OWN_BASE_IMAGE)

    def commit(self, archive: Path, image: str, stage: Stage) -> None:
        """Let a container's own containerd take the images in, then keep the container as the node image."""
        name = "dreamhub-node-build"
        self.daemon.docker("rm", "--force", "--volumes", name)
        options = ["--detach", "--privileged", "--network", "none", "--entrypoint", "sleep"]
        self.daemon.docker("run", *options, "--name", name, "dreamhub/node-empty", "infinity")
        stage.note("images go into the node")
        script = (_SOURCES / "import-images.sh").read_text(encoding="utf-8")
        with archive.open("rb") as packed:
            done = subprocess.run(
                ["docker", "exec", "--privileged", "--interactive", name, "sh", "-c", script],
                stdin=packed,
                env={**os.environ, **self.daemon.environment},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise ClusterError(f"The node image's containerd did not take the images in:\n{done.stderr[-2000:]}")
        stage.note("commit")
        entry = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        self.daemon.docker("commit", "--change", entry, name, image)
        self.daemon.docker("rm", "--force", "--volumes", name)
        archive.unlink()

    def _static_images(self, kind: KindSources) -> list[tuple[str, str, str]]:
        """(program, image, further lines of its Dockerfile)."""
        listed = run([str(self.settings.binaries / "kubeadm"), "config", "images", "list", *_VERSION_OPTION])
        names = {line.rpartition("/")[2].partition(":")[0]: line for line in listed.split()}
        images = [(program, names[program], "") for program in (*_CONTROL_PLANE, "etcd")]
        started = {"coredns": names["coredns"], "pause": _PAUSE_IMAGE}
        images += [(program, image, f'ENTRYPOINT ["/usr/local/bin/{program}"]') for program, image in started.items()]
        return [*images, ("local-path-provisioner", kind.provisioner_image, "")]

    def _build_static(self, program: str, image: str, more: str) -> None:
        folder = self._fresh(program)
        os.link(self.settings.binaries / program, folder / program)
        text = f"FROM scratch\nCOPY {program} /usr/local/bin/\nENV PATH=/usr/local/bin\n{more}\n"
        (folder / "Dockerfile").write_text(text, encoding="utf-8")
        self._build(folder, folder / "Dockerfile", image)

    def _build(self, folder: Path, dockerfile: Path, image: str, base: str | None = None) -> None:
        arguments = ["--network", "host", *(["--build-arg", f"BASE_IMAGE={base}"] if base else [])]
        log = self.settings.logs / f"image-{folder.name}.log"
        command = ["docker", "build", *arguments, "--file", str(dockerfile), "--tag", image, str(folder)]
        follow(command, log, lambda _: None, environment={**self.daemon.environment, "DOCKER_BUILDKIT": "0"})

    def _fresh(self, name: str) -> Path:
        folder = self.context / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


_VERSION_OPTION = ("--kubernetes-version", f"v{KUBERNETES_VERSION}")


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
