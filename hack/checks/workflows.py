"""actionlint over the workflows, without the linters that only some machines have."""

import sys

from hack.checks.tools import prepare_tools, run_tool


def main() -> int:
    done = run_tool([prepare_tools() / "actionlint", "-shellcheck=", "-pyflakes="])
    print(done.stdout, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
