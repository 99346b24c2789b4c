"""Entry points: `dreamhub`, and `kubectl-dreamhub`, which kubectl finds on the PATH as its plugin."""

from dreamhub_cli.app import build_app, configure, configure_kubectl


def main() -> None:
    build_app("dreamhub", configure)()


def main_kubectl() -> None:
    build_app("kubectl dreamhub", configure_kubectl)()


if __name__ == "__main__":
    main()
