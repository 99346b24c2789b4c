"""`dreamhub-worker`: the Job's container. Exit codes: see `dreamhub_worker.failures`.

A worker is to be ready 0.6 s after its start, and most of that is importing. So the model is loaded in a thread, by
libraries that do not hold the interpreter's lock, while this thread imports the rest, by name and in that order.
"""

import gc
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pkgutil import resolve_name


def main() -> None:
    started = time.monotonic()
    gc.disable()  # what imports make stays: to look through it again and again takes a tenth of a second
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # there are none, and to look for them takes time
    begin = resolve_name("dreamhub_worker.preparation:Preparation.begin")
    with ThreadPoolExecutor(1, "preparation") as executor:
        preparation = begin(os.environ, executor)
        resolve_name("dreamhub_worker.process:main")(preparation, started)


if __name__ == "__main__":
    main()
