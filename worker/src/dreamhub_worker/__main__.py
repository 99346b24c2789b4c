"""`dreamhub-worker`: the Job's container. Exit codes: see `dreamhub_worker.failures`."""

import time
from pkgutil import resolve_name


def main() -> None:
    """Note the time, then load the worker by name: what importing it takes is part of being ready."""
    started = time.monotonic()
    resolve_name("dreamhub_worker.process:main")(started)


if __name__ == "__main__":
    main()
