"""Says why an installation is not ready, in the words of the pods."""

from collections.abc import Iterator, Mapping
from typing import Any


def describe_pods(pods: Mapping[str, Any]) -> dict[str, str]:
    """Name of each pod of a PodList that is neither ready nor done, with what it waits for."""
    found = {pod["metadata"]["name"]: "; ".join(_reasons(pod)) for pod in pods.get("items", ())}
    return {name: reasons for name, reasons in found.items() if reasons}


def _reasons(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for container in containers:
        state = container.get("state", {})
        if waiting := state.get("waiting"):
            yield f"{container['name']} waits: {_sentence(waiting)}{_last_end(container)}"
        elif (ended := state.get("terminated")) and ended.get("exitCode"):
            yield f"{container['name']} ended: {_sentence(ended)}"
        elif "running" in state and not container.get("ready") and container in status.get("containerStatuses", ()):
            yield f"{container['name']} runs but is not ready{_last_end(container)}"
    if not containers:
        for condition in status.get("conditions", ()):
            if condition.get("status") != "True":
                yield _sentence(condition)


def _last_end(container: Mapping[str, Any]) -> str:
    ended = container.get("lastState", {}).get("terminated")
    return f" (restarted {container.get('restartCount', 0)} times, last end: {_sentence(ended)})" if ended else ""


def _sentence(state: Mapping[str, Any]) -> str:
    parts = [str(state[key]) for key in ("reason", "message") if state.get(key)]
    if state.get("exitCode"):
        parts.append(f"exit code {state['exitCode']}")
    return ", ".join(parts) or "no reason given"
