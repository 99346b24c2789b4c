from pathlib import Path, PurePosixPath

import pytest

from hack.images.layers import compile_bytecode, cut_layer, is_needed, is_strippable

SITE = PurePosixPath("lib/python3.11/site-packages")


@pytest.mark.parametrize(
    "path",
    [
        "numpy/linalg/__init__.py",
        "numpy/testing/__init__.py",
        "anyio/py.typed",
        "babel/locale-data/en_GB.dat",
        "babel/locale-data/root.dat",
        "wordllama/weights/l2_supercat_256.safetensors",
    ],
)
def test_what_a_service_may_read_is_kept(path: str) -> None:
    assert is_needed(SITE / path)


@pytest.mark.parametrize(
    "path",
    [
        "babel/locale-data/de.dat",
        "numpy/__init__.pyi",
        "numpy/__pycache__/__init__.cpython-311.pyc",
        "numpy/linalg/tests/test_linalg.py",
        "wordllama/algorithms/kmeans.c",
    ],
)
def test_what_no_service_reads_is_left_out(path: str) -> None:
    assert not is_needed(SITE / path)


def test_libraries_that_auditwheel_rewrote_are_not_stripped() -> None:
    assert is_strippable(SITE / "asyncpg/protocol/protocol.cpython-311-x86_64-linux-gnu.so")
    assert not is_strippable(SITE / "numpy.libs/libgfortran-0ac3e1.so.5.0.0")
    assert not is_strippable(SITE / "numpy/sample.sound")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    root = tmp_path / "venv"
    (root / "lib").mkdir(parents=True)
    (root / "lib/one.py").write_text("ONE = 1\n")
    (root / "python").symlink_to("/usr/bin/python3")
    return root


def test_each_layer_holds_only_what_is_new(environment: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    inside = layer / environment.relative_to("/")
    known = cut_layer(environment, [], layer)
    assert (inside / "lib/one.py").read_text() == "ONE = 1\n"
    assert (inside / "python").is_symlink()
    (environment / "lib/two.py").write_text("TWO = 2\n")
    known = cut_layer(environment, known, layer)
    assert [path.name for path in inside.rglob("*.py")] == ["two.py"]
    assert {"lib/one.py", "lib/two.py", "python"} == set(known)


def test_bytecode_names_the_files_where_they_will_lie(environment: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    cut_layer(environment, [], layer)
    compile_bytecode(layer)
    (compiled,) = layer.rglob("*.pyc")
    assert str(environment / "lib/one.py").encode() in compiled.read_bytes()
