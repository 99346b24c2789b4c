"""Builds pinned programs from the Go modules in `modules/`: their go.sum files are the supply chain's record."""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.command import follow
from hack.cluster.progress import Progress, Stage
from hack.cluster.settings import KUBERNETES_VERSION, PROJECT_FOLDER, Settings
from hack.cluster.toolchain import find_go

_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (
    f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES_VERSION} -X {_VERSION}.gitMajor=1"
    f" -X {_VERSION}.gitMinor={KUBERNETES_VERSION.split('.')[1]}"
)
# -trimpath keeps this machine's paths out of the binaries; readonly refuses whatever go.sum does not know.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly"}


@dataclass(frozen=True, slots=True)
class Module:
    """A folder of `modules/` and the programs built from it: name of the program -> Go package."""

    name: str
    programs: dict[str, str]
    minutes: float
    """Cold, on two cores; told to whoever waits."""
    link_flags: str = "-s -w"


_COMMANDS = (
    "kubeadm",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
)
KUBERNETES = Module(
    "kubernetes",
    {**{name: f"k8s.io/kubernetes/cmd/{name}" for name in _COMMANDS}, "etcd": "go.etcd.io/etcd/server/v3"},
    minutes=6.5,
    link_flags=_KUBERNETES_FLAGS,
)
COREDNS = Module("coredns", {"coredns": "."}, minutes=1)
STORAGE = Module("storage", {"local-path-provisioner": "github.com/rancher/local-path-provisioner"}, minutes=1.5)
PAUSE = Module("pause", {"pause": "."}, minutes=0.1)
KIND_VERSION = "v0.33.0"
KIND = Module("kind", {"kind": "sigs.k8s.io/kind"}, minutes=0.1)
HELM = Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, minutes=2.5)
LINT = Module(
    "lint",
    {
        "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
        "actionlint": "github.com/rhysd/actionlint/cmd/actionlint",
        "helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs",
    },
    minutes=0.3,
)
NODE_MODULES = (KUBERNETES, COREDNS, STORAGE, PAUSE)


def fingerprint(module: Module, folder: Path = PROJECT_FOLDER / "modules") -> str:
    """Name of a build: sources, sums, flags and machine; two equal ones give the same programs."""
    digest = hashlib.sha256(f"{module}{sorted(_ENVIRONMENT.items())}{platform.machine()}".encode())
    for path in sorted((folder / module.name).iterdir()):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def is_built(settings: Settings, module: Module) -> bool:
    """Whether the cache holds exactly this module's programs."""
    stamp = _stamp(settings, module)
    complete = all((settings.binaries / name).is_file() for name in module.programs)
    return complete and stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint(module)


def build(settings: Settings, modules: tuple[Module, ...], progress: Progress) -> None:
    """Bring the programs of `modules` into the cache; does nothing for those that are there."""
    for module in modules:
        if not is_built(settings, module):
            with progress.stage(f"Build {module.name} from its Go module (about {module.minutes:g} min cold)") as stage:
                _build_module(settings, module, stage)


def _build_module(settings: Settings, module: Module, stage: Stage) -> None:
    settings.binaries.mkdir(parents=True, exist_ok=True)
    stamp = _stamp(settings, module)
    stamp.unlink(missing_ok=True)
    go = find_go(settings, stage.note)
    packages = 0

    def count(line: str) -> None:
        nonlocal packages
        packages += 1
        stage.note(f"{packages} packages, now {line}")

    for target, sources in build_steps(module, settings.binaries):
        follow(
            [go, "build", "-v", "-ldflags", module.link_flags, "-o", target, *sources],
            settings.logs / f"build-{module.name}.log",
            count,
            environment=_ENVIRONMENT,
            folder=PROJECT_FOLDER / "modules" / module.name,
        )
    stamp.write_text(fingerprint(module), encoding="utf-8")


def build_steps(module: Module, folder: Path) -> list[tuple[str, list[str]]]:
    """Output and packages of each `go build`: one for all programs named like their package, one for each other."""
    steps: list[tuple[str, list[str]]] = []
    alike = [package for name, package in module.programs.items() if package == "." or package.endswith(f"/{name}")]
    if alike:
        steps.append((f"{folder}/", alike))
    others = {name: package for name, package in module.programs.items() if package not in alike}
    return steps + [(str(folder / name), [package]) for name, package in others.items()]


def _stamp(settings: Settings, module: Module) -> Path:
    return settings.binaries / f".{module.name}.stamp"
