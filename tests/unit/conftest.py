"""Unit tests reach nothing but this machine: servers that they start themselves, and no network."""

import pytest
from pytest_socket import socket_allow_hosts


@pytest.fixture(autouse=True)
def no_network() -> None:
    """pytest-socket takes the restriction back after each test."""
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
