"""The tour's story: its commands exist, every sample has its place, and no wrong answer is taken for right."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dreamhub_cli.app import build_app, configure
from hack.cluster.settings import read_settings
from hack.demo.__main__ import build_environment, next_steps
from hack.demo.pdf import SAMPLES
from hack.demo.story import EXPECTED, QUESTION, build_check, build_story, group_documents, judge_answer
from tests.unit.demo.test_samples import read_questions


def reply(**changes: object) -> str:
    citation = {
        "number": 1,
        "documentId": "doc_" + "0" * 32,
        "documentName": EXPECTED.document,
        "versionId": "ver_" + "0" * 32,
        "ordinal": 1,
        "page": EXPECTED.page,
        "charStart": 0,
        "charEnd": 1,
        "headingPath": ["5 Calibration", EXPECTED.section],
        "quote": "at least eight hours",
        "score": 1,
        **changes,
    }
    return json.dumps(
        {
            "answer": "For at least eight hours [1].",
            "answered": True,
            "citations": [citation],
            "model": "m",
            "tookMs": 1,
        }
    )


def test_question_is_the_first_of_the_evaluation_set() -> None:
    first = read_questions("english.jsonl")[0]
    assert (first.question, first.document, first.section) == (QUESTION, EXPECTED.document, EXPECTED.section)


def test_every_sample_is_uploaded_once() -> None:
    documents = sorted((SAMPLES / "documents").iterdir())
    grouped = [path for _, _, paths in group_documents(documents) for path in paths]
    assert sorted(grouped) == documents


def test_every_dreamhub_command_of_the_story_exists() -> None:
    app = build_app("dreamhub", configure)
    for step in build_story():
        if step.command[0] == "dreamhub":
            done = CliRunner().invoke(app, [*step.command[1:], "--help"])
            assert done.exit_code == 0, done.output


def test_commands_are_shown_as_one_would_type_them() -> None:
    shown = [step.shown for step in build_story()]
    assert shown[0] == "kubectl apply --filename manifests/samples/tenant-acme.yaml"
    assert not any(str(SAMPLES) in line for line in shown)


def test_right_answer_is_right() -> None:
    assert judge_answer(reply()) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"page": 9}, "page 9"),
        ({"documentName": "other.pdf"}, "cites other.pdf"),
        ({"headingPath": ["5 Calibration"]}, "instead of"),
    ],
)
def test_wrong_citation_fails_the_tour(changes: dict[str, object], sentence: str) -> None:
    assert sentence in (judge_answer(reply(**changes)) or "")


def test_answer_without_its_fact_or_without_citation_fails_the_tour() -> None:
    assert "does not say how long" in (judge_answer(reply().replace("eight hours [1]", "a while [1]")) or "")
    empty = json.dumps({"answer": "Nothing found.", "answered": False, "model": "m", "tookMs": 1})
    assert "cites nothing" in (judge_answer(empty) or "")


def test_environment_points_to_the_local_cluster_and_to_no_other_login(tmp_path: Path) -> None:
    settings = read_settings({"DREAMHUB_CACHE": str(tmp_path), "DREAMHUB_PORT": "9090"})
    built = build_environment(settings, {"PATH": "/bin", "DREAMHUB_TOKEN": "old", "HOME": "/h"})
    assert built["DREAMHUB_SERVER"] == "http://127.0.0.1:9090"
    assert built["KUBECONFIG"] == str(tmp_path / "kubeconfig")
    assert built["HOME"] == "/h"
    assert "DREAMHUB_TOKEN" not in built
    assert "9090" in next_steps(settings)
    assert build_check()[-1] == "--json"
