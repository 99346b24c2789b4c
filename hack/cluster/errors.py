"""What can go wrong here, always told with the next step."""


class ClusterError(Exception):
    """The cluster cannot be brought to the state asked for; the message names the cause and what to do."""


class CommandError(ClusterError):
    """A program ended with a failure; carries the end of what it said."""

    def __init__(self, args: list[str], code: int, said: str) -> None:
        """Keep the last lines only: build logs are long and their end names the cause."""
        tail = "\n".join(said.strip().splitlines()[-15:])
        super().__init__(f"`{' '.join(args)[:300]}` failed with exit code {code}:\n{tail}")
        self.code = code
        self.said = said
