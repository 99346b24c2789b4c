"""The embedded ClamAV image: its configuration and its signatures."""

from pathlib import Path

import pytest

from dreamhub_worker.archive_guard import MAX_ENTRY_BYTES, MAX_TOTAL_BYTES
from hack.images.embedded import clamav

MEGABYTE = 2**20


def configuration(limit: int) -> dict[str, str]:
    return dict(line.split() for line in clamav.build_configuration(limit).splitlines())


@pytest.mark.parametrize("limit", [1, 100 * MEGABYTE, 400 * MEGABYTE])
def test_all_that_workers_accept_is_looked_at_whole(limit: int) -> None:
    """Of a packed part above MaxFileSize clamd looks at the beginning, and says nothing of the rest."""
    settings = configuration(limit)
    assert int(settings["StreamMaxLength"]) == limit
    assert int(settings["MaxFileSize"]) >= max(limit, MAX_ENTRY_BYTES)
    assert int(settings["MaxScanSize"]) > limit + MAX_TOTAL_BYTES
    assert settings["AlertExceedsMax"] == "yes"


def test_it_listens_on_nothing_but_its_own_socket() -> None:
    settings = configuration(1)
    assert "TCPSocket" not in settings
    assert settings["LocalSocketMode"] == "600"


def test_own_signatures_take_the_place_of_earlier_ones_and_leave_others(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "..data").mkdir(parents=True)
    target.mkdir()
    (source / "ours.ndb").write_text("new")
    (target / "own-gone.ndb").write_text("old")
    (target / "main.cvd").write_text("official")
    assert clamav.copy_signatures(source, target) == ["ours.ndb"]
    assert sorted(file.name for file in target.iterdir()) == ["main.cvd", "own-ours.ndb"]


def test_without_any_signatures_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clamav, "DATABASES", tmp_path)
    monkeypatch.setattr(clamav, "OWN_SIGNATURES", tmp_path / "none")
    with pytest.raises(clamav.StartError, match="turn updates on, or mount some"):
        clamav.update({})


def test_a_limit_must_be_a_number() -> None:
    with pytest.raises(clamav.StartError, match="DREAMHUB_SCANNER_LIMIT_BYTES"):
        clamav.serve({"DREAMHUB_SCANNER_LIMIT_BYTES": "lots"})
