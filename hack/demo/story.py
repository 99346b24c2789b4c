"""The tour's story as data: which commands a newcomer would type, in which order, and what the answer must cite."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamhub_client.models import AnswerResponse, Citation
from hack.demo.pdf import SAMPLES

TENANT = "acme"
NAMESPACE = "dh-acme"
QUESTION = "How long must a pH electrode that has dried out soak before I can calibrate it?"


@dataclass(frozen=True)
class Place:
    """Where an answer stands."""

    document: str
    page: int
    section: str

    def matches(self, citation: Citation) -> bool:
        return (
            citation.document_name == self.document
            and citation.page == self.page
            and self.section in citation.heading_path
        )


WALLS = (
    "TENANT:.metadata.name,"
    "ISOLATION-VERIFIED:.status.conditions[?(@.type=='IsolationVerified')].status,"
    "PROBES:.status.isolation.probes,FAILED:.status.isolation.failed,AGAINST:.status.isolation.peer"
)
"""Columns of what the operator has found."""

EXPECTED = Place("aquasonde-5-manual.pdf", 8, "5.3 Calibrating the pH sensor")


@dataclass(frozen=True)
class Step:
    """One command. `title` is said before it; a failing one is explained by `diagnosis`, another command."""

    title: str
    command: tuple[str, ...]
    diagnosis: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As a person would type it."""
        return " ".join(shlex.quote(_relative(word)) for word in self.command)


def build_story(samples: Path = SAMPLES) -> tuple[Step, ...]:
    """The whole tour. It may be repeated: the tenant is there then, and the documents are ingested once more."""
    kubectl, dreamhub = ("kubectl",), ("dreamhub", "--kube", TENANT)
    documents = sorted((samples / "documents").iterdir())
    return (
        Step(
            "A tenant: namespace, quota, network walls, database role, keys",
            (*kubectl, "apply", "--filename", str(samples / "tenant-acme.yaml")),
        ),
        Step(
            "The operator makes it",
            (*kubectl, "wait", f"tenant/{TENANT}", "--for", "condition=Ready", "--timeout", "180s"),
            (*kubectl, "get", "tenant", TENANT, "--output", "jsonpath={.status.conditions}"),
        ),
        Step("Can this machine reach everything?", (*dreamhub, "doctor"), _pods(kubectl)),
        *(
            Step(
                f"Upload and ingest {what}: one job, one pod in the tenant's namespace",
                (*dreamhub, "upload", *map(str, chosen), "--tag", tag, "--force", "--wait"),
                (*kubectl, "--namespace", NAMESPACE, "get", "ingestjobs,jobs,pods"),
            )
            for what, tag, chosen in group_documents(documents)
        ),
        Step("The same jobs as Kubernetes sees them", (*kubectl, "--namespace", NAMESPACE, "get", "ingestjobs")),
        Step(
            "Search by meaning and by words",
            (*dreamhub, "search", "my laptop was stolen, whom do I call", "--limit", "3"),
        ),
        Step("Search in Chinese", (*dreamhub, "search", "怎么分辨水面的油膜是真的油", "--limit", "2")),
        Step("Ask a question that one page of 70 answers", (*dreamhub, "ask", QUESTION)),
        Step(
            "Meanwhile the operator tries every wall around the tenant, from both sides",
            (*kubectl, "wait", f"tenant/{TENANT}", "--for=condition=IsolationVerified", "--timeout=300s"),
            diagnosis=(*kubectl, "describe", "tenant", TENANT),
        ),
        Step(
            "What it tried, and what got through",
            (*kubectl, "get", "tenant", TENANT, "--output", f"custom-columns={WALLS}"),
        ),
    )


def build_check() -> tuple[str, ...]:
    """The question once more, for a program."""
    return ("dreamhub", "--kube", TENANT, "ask", QUESTION, "--json")


def group_documents(documents: Sequence[Path]) -> list[tuple[str, str, list[Path]]]:
    """What a group is, its tag, its files."""
    chinese = [path for path in documents if path.name.endswith(".zh.md")]
    pdfs = [path for path in documents if path.suffix == ".pdf"]
    others = [path for path in documents if path not in chinese and path not in pdfs]
    return [("manuals, as PDF", "manuals", pdfs), ("guides", "guides", others), ("documents in Chinese", "zh", chinese)]


def judge_answer(output: str) -> str | None:
    """What is wrong with the answer, None when it cites the right place first and tells the time."""
    answer = AnswerResponse.model_validate(json.loads(output))
    if not answer.citations:
        return f"the answer cites nothing: {answer.answer}"
    first = answer.citations[0]
    if not EXPECTED.matches(first):
        found = f"{first.document_name}, page {first.page}, {' > '.join(first.heading_path)}"
        return f"the answer cites {found} instead of {EXPECTED.document}, page {EXPECTED.page}, {EXPECTED.section}"
    return None if "eight hours" in answer.answer else f"the answer does not say how long: {answer.answer}"


def _pods(kubectl: tuple[str, ...]) -> tuple[str, ...]:
    return (*kubectl, "--namespace", "dreamhub-system", "get", "pods")


def _relative(word: str) -> str:
    path = Path(word)
    root = SAMPLES.parents[1]
    return str(path.relative_to(root)) if path.is_absolute() and path.is_relative_to(root) else word
