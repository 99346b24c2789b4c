"""`python -m hack.demo`: from an installed DreamHub to an answer with citations, by the commands a user would type.

The commands are shown and run as they are, so that whatever the tour does can be done by hand; the answer is checked,
so that a tour that ends well has proved something.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hack.cluster.errors import ClusterError
from hack.cluster.settings import Settings, read_settings
from hack.demo.story import EXPECTED, TENANT, Step, build_check, build_story, judge_answer


def main() -> int:
    console = Console(highlight=False, soft_wrap=True)
    try:
        settings = read_settings()
    except ClusterError as error:
        console.print(Text.assemble(("error: ", "bold red"), str(error)))
        return 1
    environment = build_environment(settings, os.environ)
    started = time.monotonic()
    for step in build_story():
        if not take_step(console, step, environment):
            return 1
    done = subprocess.run(build_check(), env=environment, capture_output=True, text=True, check=False)
    wrong = judge_answer(done.stdout) if done.returncode == 0 else done.stderr.strip()
    if wrong is not None:
        console.print(Text.assemble(("error: ", "bold red"), wrong))
        return 1
    console.print()
    place = f"{EXPECTED.document}, page {EXPECTED.page}, {EXPECTED.section}"
    console.print(Text.assemble(("Right: ", "bold green"), f"it stands in {place}, and nowhere else."))
    console.print(Text(f"The tour took {time.monotonic() - started:.0f} s."))
    console.print(Text(next_steps(settings)))
    return 0


def take_step(console: Console, step: Step, environment: Mapping[str, str]) -> bool:
    """Shows and runs one command with this terminal as its own; whether it succeeded."""
    console.print()
    console.print(Text(step.title, style="bold"))
    console.print(Text(f"$ {step.shown}", style="cyan"))
    started = time.monotonic()
    code = subprocess.run(step.command, env=environment, check=False).returncode
    if code == 0:
        console.print(Text(f"{time.monotonic() - started:.1f} s", style="dim"))
        return True
    console.print(Text.assemble(("error: ", "bold red"), f"the last command left with exit code {code}"))
    if step.diagnosis:
        console.print(Text("What the cluster says:"))
        subprocess.run(step.diagnosis, env=environment, check=False)
    return False


def build_environment(settings: Settings, outer: Mapping[str, str]) -> dict[str, str]:
    """Where the commands find the programs, the cluster and the API."""
    folders = [str(Path(sys.executable).parent), str(settings.binaries), outer.get("PATH", "")]
    kept = {name: value for name, value in outer.items() if not name.startswith("DREAMHUB_TOKEN")}
    return {
        **kept,
        "PATH": os.pathsep.join(folders),
        "KUBECONFIG": str(settings.kubeconfig),
        "DREAMHUB_SERVER": f"http://127.0.0.1:{settings.port}",
    }


def next_steps(settings: Settings) -> str:
    return f"""
What next? In this folder:

  export KUBECONFIG={settings.kubeconfig} DREAMHUB_SERVER=http://127.0.0.1:{settings.port} DREAMHUB_KUBE={TENANT}
  export PATH=$PWD/.venv/bin:{settings.binaries}:$PATH

  dreamhub ask "What may a hotel in London cost?"        ask something else
  dreamhub upload ~/Documents --wait                      add documents of your own
  kubectl explain ingestjob.spec                          what a job can do
  kubectl apply -f manifests/samples/ingestjob-note.yaml  a job without the API
  make test                                               every test, on this cluster
  make cluster-down                                       take everything down
"""


if __name__ == "__main__":
    sys.exit(main())
