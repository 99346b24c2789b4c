"""Walls in Redis, in the object store, and in what is encrypted."""

from tests.walls.removals import SourceEdit, Wall

_TESTS = "tests/integration/isolation/test_stores.py::"
_ACL = "dreamhub.storage.redis_acl"

WALLS = (
    Wall(
        "Redis: key pattern",
        (SourceEdit(_ACL, 'f"~{prefix}*"', '"~dh:*"'),),
        (f"{_TESTS}test_keys_of_others_are_refused",),
    ),
    Wall(
        "Redis: channel pattern",
        (SourceEdit(_ACL, 'f"&{prefix}*"', '"&*"'),),
        (f"{_TESTS}test_channels_of_others_are_refused",),
    ),
    Wall(
        "Redis: commands",
        (SourceEdit(_ACL, '"-@all", *_COMMANDS', '"+@all"'),),
        (f"{_TESTS}test_commands_that_list_or_administer_are_refused",),
    ),
    Wall(
        "Redis: user is made afresh",
        (SourceEdit(_ACL, 'return ["reset", "on",', 'return ["on",'),),
        (f"{_TESTS}test_making_a_user_again_takes_rights_back",),
    ),
    Wall(
        "Redis: names are checked",
        (SourceEdit("dreamhub.names", "return _TENANT.fullmatch(name) is not None", "return True"),),
        (f"{_TESTS}test_a_pattern_can_be_no_tenant",),
    ),
    Wall(
        "Redis: prefix holds the tenant",
        (SourceEdit("dreamhub.names", 'return f"dh:{{{tenant}}}:"', 'return "dh:{tenants}:"'),),
        (f"{_TESTS}test_names_hold_the_tenant",),
    ),
    Wall(
        "S3: prefix holds the tenant",
        (SourceEdit("dreamhub.names", 'return f"tenants/{tenant}/versions/', 'return f"tenants/versions/'),),
        (f"{_TESTS}test_names_hold_the_tenant",),
    ),
    Wall(
        "S3: presigned URLs expire",
        (
            SourceEdit(
                "dreamhub.storage.objects",
                'sign_async(self._store, "GET", key, timedelta(seconds=expires_seconds))',
                'sign_async(self._store, "GET", key, timedelta(days=7))',
            ),
        ),
        (f"{_TESTS}test_presigned_url_opens_one_object_for_a_time",),
    ),
    Wall(
        "encryption: a row's text belongs to its row",
        (SourceEdit("dreamhub.sql.bodies", 'return f"chunk:{landing}:{ordinal}".encode()', 'return b"chunk"'),),
        (f"{_TESTS}test_text_moved_to_another_row_is_not_read",),
    ),
    Wall(
        "encryption: a key for each tenant",
        (
            SourceEdit(
                "dreamhub.domain.keys",
                'return HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=f"dreamhub/{purpose}".encode())'
                ".derive(secret)",
                'return HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=f"dreamhub/{purpose}".encode())'
                '.derive(b"one for all")',
            ),
        ),
        (f"{_TESTS}test_text_of_another_tenant_is_not_read", f"{_TESTS}test_same_words_have_other_hashes"),
    ),
    Wall(
        "encryption: hashes are keyed",
        (SourceEdit("dreamhub.domain.keys", ", key=self._blinds[purpose]).digest()", ").digest()"),),
        (f"{_TESTS}test_same_words_have_other_hashes",),
    ),
    Wall(
        "encryption: text at rest",
        (
            SourceEdit(
                "dreamhub.sql.bodies",
                "    return keys.encrypt(plain, chunk_identity(landing, ordinal))",
                "    return plain",
            ),
            SourceEdit(
                "dreamhub.sql.bodies",
                "json.loads(keys.decrypt(sealed, chunk_identity(landing, ordinal)))",
                "json.loads(sealed)",
            ),
        ),
        ("tests/integration/sql/test_at_rest.py::test_dump_and_raw_pages_show_no_word",),
    ),
)
