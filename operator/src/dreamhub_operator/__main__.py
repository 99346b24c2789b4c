"""`dreamhub-operator`: the standby and the leader.

While it is started again nobody reconciles, and most of its start is importing.
"""

import gc
import os
from pkgutil import resolve_name


def main() -> None:
    gc.disable()  # what imports make stays: to look through it again and again takes a quarter of their time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # there are none, and to look for them takes time
    resolve_name("dreamhub_operator.process:main")()


if __name__ == "__main__":
    main()
