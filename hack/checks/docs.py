"""What the documentation claims, taken out of it so that tests and checks can hold it against the code."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[ \t]*(?P<note>[^\n]*)\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Page:
    path: Path
    text: str

    @property
    def prose(self) -> str:
        """The text without its code blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[str]:
        fences = (match for match in _FENCE.finditer(self.text) if match["language"] in languages)
        return [textwrap.dedent(match["body"]) for match in fences]

    def examples(self, language: str) -> list[tuple[str, str]]:
        """(what stands behind the language, the block): a note there names the class that the example is one of."""
        fences = (match for match in _FENCE.finditer(self.text) if match["language"] == language)
        return [(match["note"].strip(), textwrap.dedent(match["body"])) for match in fences]

    def links(self) -> list[str]:
        """Targets inside the repository: paths and anchors, no web addresses."""
        return [
            target for target in _LINK.findall(self.prose) if "://" not in target and not target.startswith("mailto:")
        ]

    def anchors(self) -> set[str]:
        """The names under which GitHub lets one link to the headings."""
        return {slug(heading) for heading in _HEADING.findall(self.prose)}

    def code(self) -> list[str]:
        """Inline code, word for word."""
        return _CODE.findall(self.prose)

    def commands(self) -> list[str]:
        """Each command that a reader is told to type: inline, or behind `$ ` in a console block."""
        blocks = "\n".join(self.blocks("console", "sh", "shell", "bash")).replace("\\\n", " ")
        typed = (line.strip().removeprefix("$ ") for line in blocks.splitlines())
        return [*self.code(), *(line for line in typed if line)]


def slug(heading: str) -> str:
    """GitHub's anchor of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")


def read_pages(root: Path) -> Iterator[Page]:
    """Every page we write by hand or generate for people: at the root, in docs/, of the chart and the samples."""
    folders = (("", "*.md"), ("docs", "**/*.md"), ("changelog.d", "*.md"), ("charts", "*/*.md"), ("manifests", "*.md"))
    for folder, pattern in folders:
        for path in sorted((root / folder).glob(pattern)):
            yield Page(path, path.read_text())
