"""Shuts a process in for good, without any privilege: what it may read, and that it may reach nobody.

Two mechanisms of Linux, by the system calls themselves, for which Python has no library in its own house:

- Landlock (5.13, network 6.7, scopes 6.12): files below a few folders may be read, nothing else opened, no TCP made.
- A seccomp filter: no socket of any kind, no other program, no look into another process.

The extraction process runs as the same user as the worker and beside its credentials; a parser that a document has
taken over must get at neither them nor the network. Where a kernel or a container runtime lacks one of the two, the
other still holds, and `confine` says what it got.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

FILES = "files"
CALLS = "calls"
ALL = frozenset({FILES, CALLS})

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULESET_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_FILE_RIGHTS_BY_ABI = ((5, 16), (3, 15), (2, 14), (1, 13))
"""From which ABI on there are how many rights over files; a ruleset handles, and so denies, all that there are."""

_TCP_BIND_AND_CONNECT = 3
_SCOPE_SOCKETS_AND_SIGNALS = 3

_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types"),
    *("/dev/null", "/dev/urandom"),
)
"""Besides Python's own folders: shared libraries, time zones and names of types, for parsers that load late."""

_ARCHITECTURES = {
    "x86_64": (0xC000003E, (41, 53, 59, 101, 310, 311, 322, 425, 438)),
    "aarch64": (0xC00000B7, (198, 199, 221, 117, 270, 271, 281, 425, 438)),
}
"""AUDIT_ARCH, then socket, socketpair, execve, ptrace, process_vm_readv, process_vm_writev, execveat, io_uring_setup
and pidfd_getfd."""

_X32 = 0x40000000
"""Numbers from here on are the same calls by another convention."""

_EACCES = 13


def confine(folders: Iterable[Path]) -> frozenset[str]:
    """Let this process, and whatever it starts, read below `folders` and Python's own, and reach nothing else.

    There is no way back. Returns which of `ALL` hold.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return frozenset()
    held = set()
    if _restrict_files(libc, [*folders, *_own_folders()]):
        held.add(FILES)
    if _filter_calls(libc):
        held.add(CALLS)
    return frozenset(held)


def landlock_abi() -> int:
    """0 where the kernel or the container runtime does not let us."""
    version: int = ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _RULESET_VERSION)
    return max(0, version)


def _own_folders() -> list[Path]:
    return [Path(path) for path in (*sys.path, sys.prefix, sys.base_prefix, *_SYSTEM) if path]


def build_ruleset(abi: int) -> bytes:
    """A `struct landlock_ruleset_attr`, as long as this ABI knows it: everything that can be handled is denied."""
    rights = next(count for since, count in _FILE_RIGHTS_BY_ABI if abi >= since)
    fields = [(1 << rights) - 1]
    if abi >= 4:
        fields.append(_TCP_BIND_AND_CONNECT)
    if abi >= 6:
        fields.append(_SCOPE_SOCKETS_AND_SIGNALS)
    return struct.pack(f"={len(fields)}Q", *fields)


def _restrict_files(libc: ctypes.CDLL, readable: Iterable[Path]) -> bool:
    abi = landlock_abi()
    if abi == 0:
        return False
    attributes = build_ruleset(abi)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        return all(_allow(libc, ruleset, path) for path in readable) and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path) -> bool:
    """Absent paths need no rule."""
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        rights = _EXECUTE | _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        rule = struct.pack("=Qi", rights, file)
        return bool(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) == 0)
    finally:
        os.close(file)


def build_filter(architecture: int, denied: Iterable[int]) -> bytes:
    """A BPF program: the denied calls, and all of another architecture, get EACCES; the rest pass."""
    load, jump_equal, jump_greater, give = 0x20, 0x15, 0x35, 0x06
    allow, deny = (give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050000 | _EACCES)
    numbers = tuple(denied)
    program = [(load, 0, 0, 4), (jump_equal, 0, len(numbers) + 3, architecture), (load, 0, 0, 0)]
    program.append((jump_greater, len(numbers) + 1, 0, _X32))
    program += [(jump_equal, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    return b"".join(struct.pack("=HBBI", *line) for line in (*program, allow, deny))


def _filter_calls(libc: ctypes.CDLL) -> bool:
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return False
    program = ctypes.create_string_buffer(build_filter(*known))
    header = ctypes.create_string_buffer(struct.pack("@HP", (len(program) - 1) // 8, ctypes.addressof(program)))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)
