"""The probe's own part: what a connection comes to."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamhub_worker import probe


@pytest.fixture
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield f"127.0.0.1:{opened.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return f"127.0.0.1:{opened.getsockname()[1]}"


def test_connect_tells_open_from_refused(server: str, closed: str) -> None:
    assert probe.connect(server, [server, closed]) == {server: "open", closed: "refused"}


def test_silence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", swallow)
    assert probe.connect_target("192.0.2.1:1") == "silent"


def test_control_is_tried_until_it_is_open(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["silent", "refused"])
    real = probe.connect_once
    monkeypatch.setattr(probe, "connect_once", lambda address: next(answers, None) or real(address))
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert probe.connect_control(server) == "open"


def test_result_becomes_the_termination_message(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TERMINATION_LOG", tmp_path / "log")
    assert probe.main(["connect", server]) == 0
    assert json.loads((tmp_path / "log").read_text()) == {server: "open"}


def test_listener_answers_until_its_time_is_over(closed: str) -> None:
    host, port = probe.split_address(closed)
    listener = threading.Thread(target=probe.main, args=(["listen", str(port), "2"],))
    listener.start()
    assert probe.connect_control(f"{host}:{port}") == "open"
    listener.join(timeout=60)
    assert not listener.is_alive()


@pytest.mark.parametrize("arguments", [[], ["listen"], ["connect"], ["nonsense", "1"]])
def test_senseless_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(arguments) == 2
    assert "listen PORT SECONDS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("db:5432", ("db", 5432)), ("[fd00::1]:443", ("fd00::1", 443)), ("10.0.0.1:1", ("10.0.0.1", 1))],
)
def test_address(text: str, expected: tuple[str, int]) -> None:
    assert probe.split_address(text) == expected
    with pytest.raises(ValueError, match="host:port"):
        probe.split_address("5432")
