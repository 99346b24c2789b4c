from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamhub.errors import BugError, ConflictError, InvalidInputError
from dreamhub.sql.migrate import Applied, Migration, describe_status, load_migrations, main, plan_migrations
from dreamhub.sql.schema import SCHEMA_HEAD, SCHEMA_MIN, is_compatible

DIRECTORY = Path(__file__).parents[3] / "migrations"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIRST = Migration(1, "expand", "first", "SELECT 1")
SECOND = Migration(2, "contract", "second", "SELECT 2")


def applied(*migrations: Migration) -> list[Applied]:
    return [Applied(migration.version, migration.sha256, NOW) for migration in migrations]


def test_this_build_ships_its_head() -> None:
    assert load_migrations(DIRECTORY)[-1].version == SCHEMA_HEAD
    assert SCHEMA_MIN <= SCHEMA_HEAD


def test_landed_migrations_are_never_edited() -> None:
    """Somewhere they are applied already, and the migrator would refuse the new contents there.

    A further migration adds its line: `sha256sum migrations/0*.sql`, run in the repository's root.
    """
    sums = {f"{item.sha256.hex()}  migrations/{item.name}.sql" for item in load_migrations(DIRECTORY)}
    assert sums == set((DIRECTORY / "SHA256SUMS").read_text().splitlines())


def test_window_is_open_above() -> None:
    assert not is_compatible(SCHEMA_MIN - 1)
    assert is_compatible(SCHEMA_MIN)
    assert is_compatible(SCHEMA_HEAD + 5), "a rollback meets a newer schema"


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("SELECT 1")
    return folder


def test_files_are_read_in_order(tmp_path: Path) -> None:
    found = load_migrations(write(tmp_path, "0002_contract_b.sql", "0001_expand_a.sql", "bootstrap.sql"))
    assert [(item.version, item.kind, item.title) for item in found] == [(1, "expand", "a"), (2, "contract", "b")]


@pytest.mark.parametrize(
    "names",
    [
        ["0001_add_a.sql"],
        ["1_expand_a.sql"],
        ["0001_expand_A.sql"],
        ["0001_expand_a.sql", "0001_expand_b.sql"],
        ["0001_expand_a.sql", "0003_expand_b.sql"],
        ["0002_expand_a.sql"],
    ],
)
def test_bad_files_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(BugError):
        load_migrations(write(tmp_path, *names))


def test_empty_folder_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="DREAMHUB_MIGRATIONS_DIR"):
        load_migrations(tmp_path)


def test_plan_is_what_is_missing() -> None:
    assert plan_migrations([FIRST, SECOND], []) == (FIRST, SECOND)
    assert plan_migrations([FIRST, SECOND], applied(FIRST)) == (SECOND,)
    assert plan_migrations([FIRST], applied(FIRST, SECOND)) == (), "a newer release was here"


def test_changed_history_is_refused() -> None:
    changed = Migration(1, "expand", "first", "SELECT 11")
    with pytest.raises(ConflictError, match="put the change into a new migration"):
        plan_migrations([changed, SECOND], applied(FIRST))


def test_status_names_every_migration() -> None:
    lines = describe_status([FIRST, SECOND], applied(FIRST))
    assert lines[0].split() == ["0001_expand_first", "applied", "2026-01-02", "03:04:05"]
    assert lines[1].split() == ["0002_contract_second", "pending"]
    assert describe_status([FIRST], applied(FIRST, SECOND))[1] == "0002 applied by a newer release"


def test_missing_setting_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DREAMHUB_DATABASE_URL_FILE", raising=False)
    assert main(["up"]) == 1
    assert capsys.readouterr().err == (
        "error: set DREAMHUB_DATABASE_URL_FILE to a file that holds the connection URL\n"
    )
