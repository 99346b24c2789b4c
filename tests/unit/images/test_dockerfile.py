from pathlib import Path

import pytest

from hack.images.dockerfile import DockerfileError, parse
from hack.images.tags import ON_REQUEST, TARGETS, MissingSourceError, image_tag, list_files

ROOT = Path(__file__).resolve().parents[3]
TEXT = """\
ARG BASE=debian
# a comment
FROM ${BASE} AS base
RUN apt-get update \\
 # between lines
 && true

FROM base AS tools
COPY lock.txt \\
     pyproject.toml ./

FROM base AS unused
COPY other /

FROM base AS app
COPY --from=tools --chown=1:1 /opt /opt
COPY app app
"""


def test_a_target_is_cut_down_to_the_stages_it_rests_on() -> None:
    dockerfile = parse(TEXT)
    assert [stage.name for stage in dockerfile.needed_by("app")] == ["base", "tools", "app"]
    cut = dockerfile.cut("app")
    assert cut.startswith("ARG BASE=debian\nFROM ${BASE} AS base\nRUN apt-get update \\\n && true\n")
    assert "unused" not in cut


def test_sources_are_those_of_all_needed_stages() -> None:
    dockerfile = parse(TEXT)
    assert dockerfile.sources("app") == ("app", "lock.txt", "pyproject.toml")
    assert dockerfile.sources("base") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FROM debian\n", "give the stage a name"),
        ('FROM debian AS a\nCOPY ["x", "/"]\n', "use the plain form"),
        ("FROM debian AS a\nCOPY <<EOF /x\n", "use the plain form"),
    ],
)
def test_what_the_classic_builder_or_the_reader_cannot_do_is_refused(text: str, says: str) -> None:
    with pytest.raises(DockerfileError, match=says):
        parse(text)


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(DockerfileError, match="no stage 'app2': it has base, tools, unused, app"):
        parse(TEXT).needed_by("app2")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    for name in ("lock.txt", "pyproject.toml", "app/main.py", "other"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_tag_changes_with_what_goes_in_and_with_nothing_else(tree: Path) -> None:
    dockerfile = parse(TEXT)
    first = image_tag(dockerfile, "app", tree, "sha256:base")
    (tree / "other").write_text("changed")
    (tree / "app/__pycache__").mkdir()
    (tree / "app/__pycache__/main.cpython-311.pyc").write_text("bytecode")
    assert image_tag(dockerfile, "app", tree, "sha256:base") == first
    assert image_tag(dockerfile, "app", tree, "sha256:other") != first
    assert image_tag(parse(TEXT.replace("true", "false")), "app", tree, "sha256:base") != first
    (tree / "app/main.py").rename(tree / "app/again.py")
    assert image_tag(dockerfile, "app", tree, "sha256:base") != first


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match=r"copies lock\.txt"):
        list_files(tmp_path, ["lock.txt"])


def test_the_project_s_dockerfile_has_every_target_and_the_context_holds_what_they_copy() -> None:
    dockerfile = parse((ROOT / "Dockerfile").read_text())
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for target in (*TARGETS, *ON_REQUEST):
        for source in dockerfile.sources(target):
            assert (ROOT / source).exists(), source
            assert any(source == path or source.startswith(f"{path}/") for path in allowed), source


def test_every_image_ends_as_an_ordinary_user() -> None:
    dockerfile = parse((ROOT / "Dockerfile").read_text())
    for target in (*TARGETS, *ON_REQUEST):
        last = dockerfile.needed_by(target)[-1]
        users = [line.split()[1] for line in last.text.splitlines() if line.startswith("USER ")]
        assert last.name == target
        assert users == ["65532:65532"]
