"""What the Job controller and a kubelet do for one Job, with real processes in its pods.

Tries, the pauses between them and the end are those of Kubernetes: after a worker's n-th failure its next pod waits
10 s x 2^(n-1), whether the failure counts as a try or not. A scheduler and images are not played: a pod starts at once.
"""

import asyncio
import base64
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.chaos.mortal import take_time
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import eventually
from tests.integration.operator.kubelet import Kubelet, container, jobs_path
from tests.integration.servers import die_with_parent

BACKOFF_SECONDS = 10.0
GRACE_SECONDS = 30.0
STEP_SECONDS = 0.05

Manifest = dict[str, Any]


def decide(policy: Manifest, exit_code: int, *, disrupted: bool) -> str:
    """What the Job's pod failure policy says about a pod that failed: FailJob, Ignore or Count."""
    for rule in policy["rules"]:
        codes = rule.get("onExitCodes")
        if (codes is not None and exit_code in codes["values"]) or ("onPodConditions" in rule and disrupted):
            return str(rule["action"])
    return "Count"


@dataclass
class Pod:
    name: str
    process: "subprocess.Popen[bytes]"
    began: float = field(default_factory=time.monotonic)
    cpu_seconds: float = 0.0
    """Known when it has ended."""

    @classmethod
    def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Self:
        with (folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                die_with_parent(command, signal.SIGKILL), env=environment, stdout=log, stderr=log
            )
        return cls(name, process)

    def is_running(self) -> bool:
        seconds = take_time(self.process)
        self.cpu_seconds += seconds or 0.0
        return seconds is None

    def end(self) -> None:
        """Also of one that is stopped."""
        self.cpu_seconds += take_time(self.process, kill=True) or 0.0


@dataclass
class Index:
    """One of the Job's workers."""

    number: int
    failures: int = 0
    """That count as tries."""
    ignored: int = 0
    due: float = 0.0
    pod: Pod | None = None
    given_up: bool = False


@dataclass
class JobRunner:
    """Run it to the Job's end; meanwhile `kill` and `freeze` take a pod away."""

    kubelet: Kubelet
    folder: Path
    command: Sequence[str]
    indexes: list[Index] = field(default_factory=list)
    failure: str = ""
    """Why the Job failed; empty while it has not."""
    ended: float | None = None
    """When the Job was over, by the monotonic clock."""
    frozen: list[Pod] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    """All that were ever started."""
    _job: Manifest = field(default_factory=dict)
    _told: Manifest = field(default_factory=dict)

    @property
    def api(self) -> Api:
        return self.kubelet.api

    async def run(self) -> None:
        self._job = await eventually(self._find_job, "the Job of the IngestJob")
        self.indexes = [Index(number) for number in range(self._job["spec"]["completions"])]
        try:
            while not await self._step():
                await asyncio.sleep(STEP_SECONDS)
            await self._terminate()
            await self._finish()
            self.ended = time.monotonic()
        finally:
            for pod in self.pods:
                pod.end()

    def kill(self) -> bool:
        """The one that has run longest. False when none runs."""
        index = self._oldest()
        if index is not None and index.pod is not None:
            index.pod.end()
        return index is not None

    def freeze(self) -> bool:
        """Its node is cut off: another pod takes its place, and later it goes on as if nothing had been."""
        index = self._oldest()
        if index is None or index.pod is None:
            return False
        index.pod.process.send_signal(signal.SIGSTOP)
        self.frozen.append(index.pod)
        return True

    def thaw(self) -> None:
        for pod in self.frozen:
            pod.process.send_signal(signal.SIGCONT)

    def _oldest(self) -> Index | None:
        living = [(index.pod.began, index.number) for index in self.indexes if index.pod and self._lives(index.pod)]
        return self.indexes[min(living)[1]] if living else None

    def _lives(self, pod: Pod) -> bool:
        return pod.is_running() and pod not in self.frozen

    async def _find_job(self) -> Manifest | None:
        status, body = await self.api.call("GET", jobs_path(self.kubelet.tenant, self.kubelet.job))
        return body if status == 200 else None

    async def _step(self) -> bool:
        """True when the Job is over."""
        for index in self.indexes:
            if index.pod is not None and not self._lives(index.pod) and await self._note_end(index, index.pod):
                return True
            if index.pod is None and not index.given_up and index.due <= time.monotonic():
                index.pod = await self._start(index)
        if all(index.given_up for index in self.indexes):
            self.failure = "FailedIndexes"
        await self._tell()
        return bool(self.failure)

    async def _note_end(self, index: Index, pod: Pod) -> bool:
        """True when that ends the Job."""
        disrupted = pod in self.frozen
        code = pod.process.returncode if not disrupted else -signal.SIGKILL
        code = 128 - code if code < 0 else code
        index.pod = None
        await self._tell_end(pod, code, disrupted=disrupted)
        if code == 0:
            return True
        spec = self._job["spec"]
        match decide(spec["podFailurePolicy"], code, disrupted=disrupted):
            case "FailJob":
                self.failure = "PodFailurePolicy"
            case "Ignore":
                index.ignored += 1
            case _:
                index.failures += 1
        index.given_up = index.failures > spec["backoffLimitPerIndex"]
        index.due = time.monotonic() + BACKOFF_SECONDS * 2 ** (index.failures + index.ignored - 1)
        return bool(self.failure)

    async def _start(self, index: Index) -> Pod | None:
        """None while a Secret is missing."""
        name = f"{self.kubelet.job}-{index.number}-{secrets.token_hex(3)}"
        environment = await self._mount(name)
        if environment is None:
            return None
        environment |= {"DREAMHUB_POD_NAME": name, "JOB_COMPLETION_INDEX": str(index.number)}
        environment |= {"DREAMHUB_TERMINATION_LOG": str(self.folder / f"{name}.end")}
        pod = Pod.start(name, self.command, environment, self.folder)
        self.pods.append(pod)
        await self.kubelet.add_pod(name, phase="Running", containerStatuses=container(running={}))
        return pod

    async def _mount(self, name: str) -> dict[str, str] | None:
        """The container's environment, with its volumes as folders here."""
        spec = self._job["spec"]["template"]["spec"]
        [worker] = spec["containers"]
        root, places = self.folder / name, {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
        for volume in spec["volumes"]:
            place = root / volume["name"]
            place.mkdir(parents=True, exist_ok=True)
            if "secret" in volume and not await self._write_secret(place, volume["secret"]["secretName"]):
                return None
        folders = {path: str(root / name) for name, path in places.items()}
        own = {entry["name"]: folders.get(entry.get("value", ""), entry.get("value", "")) for entry in worker["env"]}
        return {key: os.environ[key] for key in ("PATH", "HOME")} | own

    async def _write_secret(self, place: Path, name: str) -> bool:
        status, body = await self.api.call("GET", f"/api/v1/namespaces/dh-{self.kubelet.tenant}/secrets/{name}")
        for entry, text in (body["data"] if status == 200 else {}).items():
            (place / entry).write_bytes(base64.b64decode(text))
        return status == 200

    async def _tell(self) -> None:
        """The Job's status, when it has changed."""
        given_up = ",".join(str(index.number) for index in self.indexes if index.given_up)
        status = {
            "active": sum(index.pod is not None for index in self.indexes),
            "failed": sum(index.failures + index.ignored for index in self.indexes),
            "failedIndexes": given_up or None,
        }
        if status != self._told:
            await self.kubelet.set_job(**status)
            self._told = status

    async def _tell_end(self, pod: Pod, code: int, *, disrupted: bool) -> None:
        ended = container(terminated={"exitCode": code, "reason": "Error" if code else "Completed"})
        phase = "Failed" if code else "Succeeded"
        why = [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}] if disrupted else []
        await self.kubelet.set_pod(pod.name, phase=phase, containerStatuses=ended, conditions=why)

    async def _terminate(self) -> None:
        """One has said that the run is over: the others are asked to end."""
        living = [index.pod for index in self.indexes if index.pod is not None and index.pod.is_running()]
        for pod in living:
            pod.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        while any(pod.is_running() for pod in living) and time.monotonic() < deadline:
            await asyncio.sleep(STEP_SECONDS)

    async def _finish(self) -> None:
        if self.failure:
            await self.kubelet.fail_job(self.failure, "the Job has failed")
        else:
            await self.kubelet.complete_job()
