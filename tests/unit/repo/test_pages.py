from pathlib import Path

from hack.checks.docs import Page

PAGE = Page(
    Path("page.md"),
    """# The `first` page

See [there](other.md#part), [the web](https://example.org) and ![a picture](picture.svg). Run `make check`.

```console
$ make demo \\
    NODES=3
[not a link](nowhere.md)
```

```yaml
kind: Tenant
```

## Part two: more & more
""",
)


def test_links_are_those_of_the_prose_and_stay_inside() -> None:
    assert PAGE.links() == ["other.md#part"]


def test_anchors_come_from_headings_outside_code() -> None:
    assert PAGE.anchors() == {"the-first-page", "part-two-more--more"}


def test_blocks_by_language() -> None:
    assert PAGE.blocks("yaml") == ["kind: Tenant\n"]


def test_commands_are_joined_and_without_prompt() -> None:
    assert "make check" in PAGE.commands()
    assert any(command.split() == ["make", "demo", "NODES=3"] for command in PAGE.commands())
