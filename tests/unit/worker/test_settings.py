"""Mounted files to settings, and the sentence that names the one at fault."""

from pathlib import Path

import pytest

from dreamhub.domain.job_input import Build, InputDocument, JobInput
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import InvalidInputError
from dreamhub_worker.settings import DEFAULT_SIZE_LIMIT, read_settings

JOB = JobInput(
    tenant="acme",
    job="handbook",
    uid="u-1",
    build=Build(name="0.1.0"),
    embedding_model="builtin/wordllama-256",
    documents=(InputDocument(document_id="doc_1", version_id="ver_1", url="http://s3/x"),),
)


@pytest.fixture
def mounted(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "job.json").write_text(JOB.model_dump_json(by_alias=True))
    (tmp_path / "database-url").write_text("postgresql://t_acme:pw@db/dreamhub\n")
    (tmp_path / "redis-url").write_text("redis://t_acme:pw@redis/0\n")
    (tmp_path / "keys.json").write_text(DataKeys.generate().dump())
    return {"DREAMHUB_JOB_DIR": str(tmp_path), "DREAMHUB_CREDENTIALS_DIR": str(tmp_path)}


def refusal(environment: dict[str, str]) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        read_settings(environment)
    return caught.value


def test_a_complete_mount(mounted: dict[str, str]) -> None:
    settings = read_settings({**mounted, "DREAMHUB_POD_NAME": "ij-1-abc"})
    assert settings.job == JOB
    assert settings.model.dimensions == 256
    assert settings.database_url() == "postgresql://t_acme:pw@db/dreamhub"
    Path(mounted["DREAMHUB_CREDENTIALS_DIR"], "database-url").write_text("postgresql://t_acme.b:new@db/dreamhub\n")
    assert settings.database_url() == "postgresql://t_acme.b:new@db/dreamhub"
    assert settings.size_limit == DEFAULT_SIZE_LIMIT
    assert settings.holder == "ij-1-abc"


def test_secrets_never_show_in_a_log(mounted: dict[str, str]) -> None:
    shown = repr(read_settings(mounted))
    assert "pw@" not in shown
    assert "keys" not in shown


@pytest.mark.parametrize("name", ["job.json", "database-url", "redis-url", "keys.json"])
def test_a_missing_file_is_named(mounted: dict[str, str], name: str) -> None:
    Path(mounted["DREAMHUB_JOB_DIR"], name).unlink()
    assert name in refusal(mounted).message


def test_a_job_of_another_build_names_the_field(mounted: dict[str, str]) -> None:
    Path(mounted["DREAMHUB_JOB_DIR"], "job.json").write_text('{"tenant": "acme", "shiny": 1}')
    error = refusal(mounted)
    assert error.code == "BadJobInput"
    assert "shiny" in error.message
    assert "uid" in error.message


def test_an_unknown_model_is_named_with_the_known_ones(mounted: dict[str, str]) -> None:
    job = JOB.model_copy(update={"embedding_model": "acme/huge"})
    Path(mounted["DREAMHUB_JOB_DIR"], "job.json").write_text(job.model_dump_json(by_alias=True))
    error = refusal(mounted)
    assert error.code == "UnknownModel"
    assert "acme/huge" in error.message
    assert "builtin/wordllama-256" in error.message


@pytest.mark.parametrize("limit", ["0", "-1", "10MB", ""])
def test_a_bad_limit_is_named(mounted: dict[str, str], limit: str) -> None:
    assert "DREAMHUB_UPLOAD_LIMIT_BYTES" in refusal({**mounted, "DREAMHUB_UPLOAD_LIMIT_BYTES": limit}).message
