import socket

import pytest
from pytest_socket import SocketConnectBlockedError


def test_no_unit_test_reaches_the_network() -> None:
    with pytest.warns(UserWarning, match="tried to use socket"), pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 443), timeout=1)
