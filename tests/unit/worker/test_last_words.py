"""Why a worker ended: in its log, and where the status of the IngestJob takes it from."""

from pathlib import Path

import pytest

from dreamhub.errors import BugError, InvalidInputError, UnavailableError
from dreamhub_worker.failures import as_ours
from dreamhub_worker.last_words import tell_end
from dreamhub_worker.process import _close


def test_the_reason_outlives_the_pod(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "termination-log"
    assert tell_end(BugError("it broke"), place) == 70
    assert place.read_text() == "Internal: it broke"
    assert tell_end(UnavailableError("it is away", code="DatabaseUnavailable"), None) == 75
    assert tell_end(InvalidInputError("no such key"), tmp_path / "absent" / "file") == 42
    told = capsys.readouterr().out
    assert all(words in told for words in ("it broke", "it is away", "no such key", "last_words_not_written"))


def test_a_bug_is_told_with_its_place() -> None:
    with pytest.raises(KeyError) as caught:
        _ = dict[str, str]()["the secret paragraph"]
    message = as_ours(caught.value).message
    assert "(KeyError at test_last_words.py:" in message
    assert "secret" not in message


async def test_what_cannot_be_closed_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async def close() -> None:
        raise ConnectionResetError

    await _close(close)
    assert "ConnectionResetError" in capsys.readouterr().out
