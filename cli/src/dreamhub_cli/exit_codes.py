"""The exit codes, one table from the client's errors. Scripts match on them: they never change their meaning.

  0  done
  1  a bug of ours (with a traceback)
  2  wrong usage: unknown option, absent file, no server given
  3  the login was refused or none could be had
  4  no such job or document
  5  the server refused the input: bad file, bad query, conflict
  6  a quota or a rate limit
  7  the server cannot be reached, is not ready, or is no DreamHub API
  8  the job finished and at least one document failed
  9  the time given by --timeout was over
130  interrupted by Ctrl-C
"""

from enum import IntEnum

from dreamhub_client.errors import (
    ApiError,
    ClientError,
    CredentialError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    ServerError,
    UnauthenticatedError,
    WaitTimeoutError,
)


class ExitCode(IntEnum):
    OK = 0
    USAGE = 2
    LOGIN = 3
    NOT_FOUND = 4
    REFUSED = 5
    LIMIT = 6
    UNREACHABLE = 7
    JOB_FAILED = 8
    TIMEOUT = 9
    INTERRUPTED = 130


_BY_ERROR: tuple[tuple[type[ClientError], ExitCode], ...] = (
    (CredentialError, ExitCode.LOGIN),
    (UnauthenticatedError, ExitCode.LOGIN),
    (ForbiddenError, ExitCode.LOGIN),
    (NotFoundError, ExitCode.NOT_FOUND),
    (LimitExceededError, ExitCode.LIMIT),
    (ServerError, ExitCode.UNREACHABLE),
    (ApiError, ExitCode.REFUSED),
    (WaitTimeoutError, ExitCode.TIMEOUT),
    (ClientError, ExitCode.UNREACHABLE),
)


def exit_code_of(error: ClientError) -> ExitCode:
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))
