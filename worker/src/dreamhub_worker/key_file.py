"""The tenant's data keys as they are mounted, which changes while a worker runs: a rotation brings another key."""

from dataclasses import dataclass, field
from pathlib import Path

from dreamhub.domain.keys import DataKeys
from dreamhub.secret_files import read_secret


@dataclass
class KeyFile:
    """Read again at each use, parsed when it has changed: so whoever asks just before using a key has the latest."""

    path: Path
    _text: str = field(default="", repr=False)
    _keys: DataKeys | None = field(default=None, repr=False)

    def read(self) -> DataKeys:
        """Raises InvalidInputError for a file that is absent or holds no keys."""
        text = read_secret(self.path)
        if self._keys is None or text != self._text:
            self._text, self._keys = text, DataKeys.parse(text)
        return self._keys
