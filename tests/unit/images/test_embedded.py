import hashlib
import json
from pathlib import Path

import pytest

from hack.images.embedded import postgres, redis, s3

REDIS_PASSWORDS = {"api": "a", "operator": "o"}
BOOTSTRAP = "CREATE ROLE dreamhub_owner;"


def write_passwords(folder: Path, **passwords: str) -> Path:
    for login, password in passwords.items():
        (folder / f"{login}-password").write_text(f"{password}\n")
    return folder


class TestPostgres:
    def test_passwords_come_before_the_bootstrap_and_logins_after(self, tmp_path: Path) -> None:
        passwords = postgres.read_passwords(write_passwords(tmp_path, owner="a", api="b", operator="c"))
        lines = postgres.build_script(passwords, BOOTSTRAP).splitlines()
        assert lines[0] == r"\set owner_password 'a'"
        assert lines.index(r"\connect dreamhub") < lines.index(BOOTSTRAP)
        assert lines.index(BOOTSTRAP) < lines.index("ALTER ROLE dreamhub_api PASSWORD :'api_password';")

    def test_a_password_cannot_leave_its_quotes(self) -> None:
        passwords = {"owner_password": r"it's \a"}
        assert postgres.build_script(passwords, BOOTSTRAP).startswith(r"\set owner_password 'it\'s \\a'")

    def test_a_line_break_would_end_the_variable(self) -> None:
        with pytest.raises(postgres.StartError, match="line break"):
            postgres.build_script({"owner_password": "a\nb"}, BOOTSTRAP)

    @pytest.mark.parametrize("present", [{}, {"owner": "a", "api": "", "operator": "c"}])
    def test_a_missing_password_names_the_secret_s_keys(self, tmp_path: Path, present: dict[str, str]) -> None:
        with pytest.raises(postgres.StartError, match="keys owner-password, api-password, operator-password"):
            postgres.read_passwords(write_passwords(tmp_path, **present))


class TestRedis:
    def test_tenants_stay_and_the_platform_s_users_are_written_anew(self) -> None:
        current = [
            "user default on nopass ~* &* +@all",
            "user dreamhub_api on #stale ~* &* +@all",
            "user t_acme on #kept resetchannels ~dh:{acme}:* +@all",
            "",
        ]
        lines = redis.merge_users(current, REDIS_PASSWORDS)
        assert lines[0] == "user default on nopass resetkeys resetchannels -@all +ping"
        assert lines[-1] == "user t_acme on #kept resetchannels ~dh:{acme}:* +@all"
        assert [line.split()[1] for line in lines] == ["default", "dreamhub_api", "dreamhub_operator", "t_acme"]
        assert f"#{hashlib.sha256(b'a').hexdigest()}" in lines[1]

    def test_no_password_is_written_in_the_clear(self, tmp_path: Path) -> None:
        users = tmp_path / "users.acl"
        redis.write_users(users, {"api": "in-the-clear", "operator": "o"})
        redis.write_users(users, {"api": "in-the-clear", "operator": "o"})
        assert "in-the-clear" not in users.read_text()
        assert len(users.read_text().splitlines()) == 3
        assert [path.name for path in tmp_path.iterdir()] == ["users.acl"]

    def test_only_the_operator_makes_users(self) -> None:
        assert "acl" in redis.RULES["operator"]
        assert "acl" not in redis.RULES["api"]


class TestS3:
    def test_the_identity_is_bound_to_its_bucket(self) -> None:
        (identity,) = json.loads(s3.build_identities("docs", "AK", "SK"))["identities"]
        assert identity["actions"] == ["Read:docs", "Write:docs", "List:docs", "Tagging:docs"]
        assert identity["credentials"] == [{"accessKey": "AK", "secretKey": "SK"}]

    def test_only_the_s3_port_listens_outside_the_pod(self) -> None:
        command = s3.build_command(s3.read_settings({}))
        assert "-ip.bind=127.0.0.1" in command
        assert "-s3.ip.bind=0.0.0.0" in command

    def test_credentials_are_written_for_nobody_else(self, tmp_path: Path) -> None:
        (tmp_path / "access-key").write_text("AK\n")
        (tmp_path / "secret-key").write_text("SK\n")
        identities = tmp_path / "identities.json"
        environ = {"DREAMHUB_S3_CREDENTIALS_DIR": str(tmp_path), "DREAMHUB_S3_IDENTITIES_FILE": str(identities)}
        s3.write_identities(s3.read_settings(environ))
        assert identities.stat().st_mode & 0o777 == 0o600

    def test_missing_credentials_name_the_secret_s_keys(self, tmp_path: Path) -> None:
        with pytest.raises(s3.StartError, match="keys access-key and secret-key"):
            s3.write_identities(s3.read_settings({"DREAMHUB_S3_CREDENTIALS_DIR": str(tmp_path)}))
