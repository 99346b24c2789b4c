"""What a reading of mail decides without a server: what is new, what a message is called, how folders are spelled."""

import email.header
import mailbox
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub_worker.sources.mail_client import quote_folder
from dreamhub_worker.sources.mail_mbox import is_mbox, split_mbox
from dreamhub_worker.sources.mail_message import MAX_HEAD, MAX_VALUE, message_key, message_name, read_headers
from dreamhub_worker.sources.mail_plan import FolderNow, Plan, plan_reading


def told(plan: Plan) -> dict[str, Any]:
    """The state after everything that a plan wants was told."""
    for name, uids in plan.todo.items():
        plan.marks[name].advance(uids)
    return {"folders": {name: mark.to_json() for name, mark in plan.marks.items()}}


def todo(now: Mapping[str, FolderNow], state: Mapping[str, Any] | None) -> tuple[dict[str, list[int]], bool]:
    plan = plan_reading(now, state)
    return {name: list(uids) for name, uids in plan.todo.items()}, plan.everything


def test_a_first_reading_tells_all() -> None:
    assert todo({"a": FolderNow(1, [3, 7])}, None) == ({"a": [3, 7]}, True)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (FolderNow(1, [3, 7]), ([], False)),
        (FolderNow(1, [3, 7, 8, 20]), ([8, 20], False)),
        (FolderNow(1, [7]), ([7], True)),
        (FolderNow(1, [7, 9]), ([7, 9], True)),
        (FolderNow(1, [3, 5, 7]), ([3, 5, 7], True)),
        (FolderNow(2, [3, 7]), ([3, 7], True)),
        (FolderNow(1, []), ([], True)),
    ],
    ids=["unchanged", "new", "vanished", "vanished and new", "undeleted", "numbered anew", "emptied"],
)
def test_a_second_reading_tells_what_is_new_or_all(now: FolderNow, expected: tuple[list[int], bool]) -> None:
    state = told(plan_reading({"a": FolderNow(1, [3, 7])}, None))
    uids, everything = todo({"a": now}, state)
    assert (uids["a"], everything) == expected


def test_what_vanished_from_one_folder_tells_all_folders() -> None:
    state = told(plan_reading({"a": FolderNow(1, [1]), "b": FolderNow(1, [1])}, None))
    assert todo({"a": FolderNow(1, []), "b": FolderNow(1, [1])}, state) == ({"a": [], "b": [1]}, True)


@given(st.sets(st.integers(1, 50)), st.integers(1, 51))
def test_a_reading_that_was_cut_short_tells_the_rest(uids: set[int], cut: int) -> None:
    now = {"a": FolderNow(1, sorted(uids))}
    plan = plan_reading(now, None)
    before = [uid for uid in sorted(uids) if uid < cut]
    plan.marks["a"].advance(before)
    state = {"folders": {"a": plan.marks["a"].to_json()}}
    assert todo(now, state) == ({"a": [uid for uid in sorted(uids) if uid >= cut]}, False)


HEAD = (
    b"Received: by x\r\nMessage-Id:\r\n <id@x>\r\nSubject: =?utf-8?B?w4RwZmVs?= and\r\n =?iso-8859-1?Q?_B=E4ume?=\r\n"
    b"broken line\r\nSubject: second\r\n\r\nSubject: body\r\n"
)


def test_headers() -> None:
    headers = read_headers(HEAD)
    assert message_key(headers, "otherwise") == "mid:<id@x>"
    assert message_name(headers) == "Äpfel and Bäume"


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("", "(no subject)"),
        ("=?nonsense?Q?abc?=", "=?nonsense?Q?abc?="),
        ("=?utf-8?B?####?=", "(no subject)"),
        ("a\x00b\u202ec", "a b c"),
        ("x" * 500, "x" * 200),
    ],
)
def test_names_of_odd_subjects(subject: str, name: str) -> None:
    assert message_name({"subject": subject}) == name


@given(st.binary(max_size=300))
def test_no_header_is_too_odd(data: bytes) -> None:
    headers = read_headers(b"Subject: " + data)
    assert message_name(headers)
    assert message_key(headers, "otherwise")


def test_what_is_decoded_of_a_header_has_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Mock(wraps=email.header.decode_header)
    monkeypatch.setattr("dreamhub_worker.sources.mail_message.decode_header", decode)
    name = message_name(read_headers(b"Subject: " + b"=?utf-8?Q?a?= " * 10_000 + b"\r\n\r\n"))
    assert name.startswith("a" * 146)
    assert [len(call.args[0]) for call in decode.call_args_list] == [MAX_VALUE]


def test_long_headers_are_told_apart_though_they_are_cut() -> None:
    one, two = (message_key(read_headers(b"Message-Id: " + b"x" * 5000 + end), "") for end in (b"1", b"2"))
    assert one != two


def test_headers_end_somewhere() -> None:
    headers = read_headers(b"".join(b"x%d:\n" % number for number in range(200_000)) + b"Subject: late\n")
    assert len(headers) < MAX_HEAD / 3
    assert "subject" not in headers


def test_keys_have_a_length() -> None:
    assert message_key({}, "otherwise") == "otherwise"
    assert message_key({"message-id": "x" * 5000}, "").startswith("mid-sha256:")


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("INBOX", '"INBOX"'),
        ("Entwürfe", '"Entw&APw-rfe"'),
        ("A&B", '"A&-B"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("日本語", '"&ZeVnLIqe-"'),
        ("😀", '"&2D3eAA-"'),
        ("a\r\nb", '"a&AA0ACg-b"'),
    ],
)
def test_folders_in_modified_utf7(name: str, spelled: str) -> None:
    assert quote_folder(name) == spelled


def test_mailboxes_are_split_at_their_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(b"From a\nSubject: 1\n\n>From here\n\nFrom b\r\nSubject: 2\r\n\r\n" + b"x" * 100 + b"\r\n\r\n")
    assert is_mbox(path)
    assert [b"".join(message.lines()) for message in split_mbox(path)] == [
        b"Subject: 1\n\nFrom here\n",
        b"Subject: 2\r\n\r\n" + b"x" * 100 + b"\r\n",
    ]
    path.write_bytes(b"Subject: none\n")
    assert not is_mbox(path)


@given(
    st.lists(st.sampled_from([b"From x\n", b"\n", b">From y\n", b"Subject: z\n", b"From", b" ", b"\n", b"w" * 70_000]))
)
def test_mailboxes_are_split_as_the_library_does(pieces: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "mbox")
        path.write_bytes(b"From first\n" + b"".join(pieces))
        library = mailbox.mbox(path, create=False)
        expected = [library.get_bytes(key) for key in library.iterkeys()]
        library.close()
        assert [path.read_bytes()[message.start : message.end] for message in split_mbox(path)] == expected


@pytest.mark.parametrize("data", [b"From \n" * 50_000, b"From a\n" + b"x" * 4_000_000], ids=["marks", "no line ends"])
def test_no_mailbox_takes_memory(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert sum(message.size for message in split_mbox(path)) >= 0
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
