"""kubectl as tests use it, and waiting for a condition with a deadline."""

import asyncio
import json
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hack.cluster.command import find_program
from hack.cluster.settings import Settings

Json = dict[str, Any]
Found = TypeVar("Found")

SYSTEM = "dreamhub-system"


@dataclass(frozen=True)
class Done:
    """What a program left behind."""

    code: int
    out: str
    err: str


async def run(*command: str, stdin: str | None = None, environment: dict[str, str] | None = None) -> Done:
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    out, err = await process.communicate(stdin.encode() if stdin is not None else b"")
    return Done(process.returncode or 0, out.decode(), err.decode())


def require_tool(settings: Settings, name: str) -> str:
    """Path of kubectl or helm, found where `make cluster-up` and `make install` find it. Raises FileNotFoundError."""
    found = find_program(name, first=settings.binaries)
    if found is None:
        raise FileNotFoundError(f"there is no {name} in {settings.binaries} or on PATH")
    return found


@dataclass(frozen=True)
class Kube:
    """The local cluster's kubectl, as its administrator."""

    settings: Settings
    namespace: str = "default"

    def within(self, namespace: str) -> "Kube":
        return Kube(self.settings, namespace)

    async def run(self, *arguments: str, stdin: str | None = None) -> Done:
        before = ("--kubeconfig", str(self.settings.kubeconfig), "--namespace", self.namespace)
        return await run(require_tool(self.settings, "kubectl"), *before, *arguments, stdin=stdin)

    async def ask(self, *arguments: str, stdin: str | None = None) -> str:
        """Raises RuntimeError with kubectl's words when it fails."""
        done = await self.run(*arguments, stdin=stdin)
        if done.code:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.err.strip() or done.out.strip()}")
        return done.out

    async def apply(self, *manifests: Json) -> None:
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        await self.ask("apply", "--filename", "-", stdin=content)

    async def refuse(self, manifest: Json) -> str:
        """The words with which the API server refuses to create `manifest`."""
        done = await self.run("create", "--filename", "-", stdin=json.dumps(manifest))
        if done.code == 0:
            await self.run("delete", "--filename", "-", "--wait=false", stdin=json.dumps(manifest))
            raise AssertionError(f"the API server took {manifest}")
        return done.err

    async def get(self, *what: str) -> Json:
        """An object or a list as kubectl gives it."""
        found: Json = json.loads(await self.ask("get", *what, "--output", "json"))
        return found

    async def find(self, *what: str) -> Json | None:
        """The object, or None when there is none."""
        out = await self.ask("get", *what, "--output", "json", "--ignore-not-found")
        return json.loads(out) if out.strip() else None

    async def items(self, *what: str) -> list[Json]:
        found: list[Json] = (await self.get(*what))["items"]
        return found

    async def patch(self, what: str, change: Json) -> None:
        await self.ask("patch", *what.split(), "--type", "merge", "--patch", json.dumps(change))

    async def condition(self, what: str, kind: str) -> Json | None:
        """One condition of an object, None as long as it does not have it."""
        found = await self.find(*what.split())
        conditions = (found or {}).get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == kind), None)

    async def wait_condition(self, what: str, kind: str, *, seconds: float = 60) -> Json:
        """The condition once it is True.

        Raises:
            TimeoutError: with the object's status, when that takes too long.
        """

        async def true() -> Json | None:
            condition = await self.condition(what, kind)
            return condition if condition and condition["status"] == "True" else None

        try:
            return await eventually(true, seconds, f"{what} to be {kind}")
        except TimeoutError as error:
            status = (await self.find(*what.split()) or {}).get("status")
            raise TimeoutError(f"{error}; its status: {json.dumps(status)}") from None

    async def delete_pods(self, selector: str, *, at_once: bool) -> set[str]:
        """Deletes pods and returns their names; `at_once` kills them without a grace period, as a lost node would."""
        flags = ("--grace-period=0", "--force") if at_once else ()
        out = await self.ask("delete", "pods", "--selector", selector, "--wait=false", "--output", "name", *flags)
        return {line.rpartition("/")[2] for line in out.split()}


async def eventually(
    probe: Callable[[], Awaitable[Found | None]], seconds: float, what: str, *, pause: float = 0.25
) -> Found:
    """What `probe` gives once it gives something other than None or False.

    Raises:
        TimeoutError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = await probe()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        await asyncio.sleep(pause)
