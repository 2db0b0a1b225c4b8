"""Whole trees: what is found, what siblings a file has, and that one bad file costs only itself."""

import os
from pathlib import Path

import pytest

from transpiler.config import Config
from transpiler.executor import StartMethod, translate_tasks
from transpiler.origin import find_origin
from transpiler.plan import Task, UsageError, plan_run
from transpiler.project import discover_files
from transpiler.siblings import find_callers, find_siblings, load_module
from transpiler.source import SourceError
from transpiler.translation import Translation


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_discovery_takes_python_and_leaves_what_is_not_the_projects(tmp_path: Path) -> None:
    names = [
        "b.py", "a.py", "n.ipynb", "sub/c.py", "data.csv", ".hidden/x.py", "venv/x.py",
        "__pycache__/x.py", "env/pyvenv.cfg", "env/x.py", "build/x.py", "old/x.py",
        "sub/skip_me.py", "out/x.py", "lib.egg-info/x.py",
    ]  # fmt: skip
    write_tree(tmp_path, dict.fromkeys(names, ""))
    found = discover_files(tmp_path, ["old/", "skip_*"], tmp_path / "out")
    paths = [path.relative_to(tmp_path).as_posix() for path in found.files]
    assert paths == ["a.py", "b.py", "n.ipynb", "sub/c.py"]
    assert [path.name for path in found.others] == ["data.csv"]


def test_patterns_match_paths_from_the_root(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/x.py": "", "b/x.py": "", "b/deep/y.py": ""})
    found = discover_files(tmp_path, ["b/*"])
    assert [path.relative_to(tmp_path).as_posix() for path in found.files] == ["a/x.py"]


def siblings_of(path: Path, root: Path | None = None) -> dict[str, str]:
    load_module.cache_clear()
    return find_siblings(path, find_origin(path.read_text(), str(path)).imports, root)


def test_siblings_of_a_script_are_the_files_beside_it(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "train.py": "import os, torch\nfrom models.net import Net\nimport data as d\n",
            "models/net.py": "from models import blocks\n",
            "models/blocks.py": "import torch\n",
            "data.py": "import train\n",
            "unrelated.py": "",
        },
    )
    found = siblings_of(tmp_path / "train.py")
    assert set(found) == {"models.net", "models.blocks", "data", "train"}
    assert found["models.blocks"] == "import torch\n"


def test_siblings_in_a_package_are_named_from_the_files_own_folder(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "pkg/__init__.py": "",
            "pkg/train.py": "from .models import Net\nfrom . import engine\nimport pkg.engine\n",
            "pkg/models/__init__.py": "from .resnet import Net\n",
            "pkg/models/resnet.py": "from ..engine import run\n",
            "pkg/engine.py": "import torch\n",
        },
    )
    found = siblings_of(tmp_path / "pkg/train.py", tmp_path)
    assert {"models", "models.resnet", "engine", "pkg.engine"} <= set(found)
    assert set(siblings_of(tmp_path / "pkg/train.py")) == set(found)  # the package's root is found


def test_a_sibling_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train.py": "import bad, good\n", "bad.py": "(", "good.py": ""})
    assert set(siblings_of(tmp_path / "train.py")) == {"good"}


def test_a_plan_refuses_to_write_over_what_it_reads(tmp_path: Path) -> None:
    source = write_tree(tmp_path, {"src/a.py": "", "other.py": ""}) / "src"
    os.link(source / "a.py", tmp_path / "hard.py")
    (tmp_path / "soft.py").symlink_to(source / "a.py")
    (tmp_path / "again").symlink_to(source)
    file = str(source / "a.py")
    outputs = [file, f"{source}/../src/a.py", str(tmp_path / "hard.py"), str(tmp_path / "soft.py")]
    for output in [*outputs, str(source), str(tmp_path / "again")]:
        with pytest.raises(UsageError, match="is the input"):
            plan_run([file], output, False, Config())
    with pytest.raises(UsageError, match="is the input"):
        plan_run([str(source)], str(tmp_path / "again"), False, Config())


def test_a_plan_refuses_two_files_for_one_output(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/x.py": "", "b/x.py": "", "out/.keep": ""})
    inputs = [str(tmp_path / "a"), str(tmp_path / "b/x.py")]
    with pytest.raises(UsageError, match="would both be written to"):
        plan_run(inputs, str(tmp_path / "out"), False, Config())


def test_the_output_inside_the_input_is_not_an_input(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "", "out/a.py": ""})
    plan = plan_run([str(tmp_path)], str(tmp_path / "out"), False, Config())
    assert [task.output for task in plan.tasks] == [str(tmp_path / "out/a.py")]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (error,) = plan_run([str(tmp_path)], None, False, Config()).errors
    assert "holds no Python files" in error.message


def run_tasks(
    paths: list[Path], jobs: int, method: StartMethod | None = None
) -> dict[str, Translation]:
    tasks = [Task(str(path)) for path in paths]
    results = dict(translate_tasks(tasks, "tf", Config(), jobs, method))
    assert sorted(results) == list(range(len(tasks)))
    return {Path(results[number].path).name: results[number] for number in results}


BAD = {
    "crash.py": "import torch  # crash\n",
    "syntax.py": "import torch\nx = (\n",
    "bytes.py": "import torch\n",
    "good.py": "import torch\n",
    "left.py": "import torch\nx = 1  # manual\n",
}


@pytest.mark.usefixtures("quick_engine")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_file_does_not_stop_the_rest(tmp_path: Path, jobs: int) -> None:
    write_tree(tmp_path, BAD)
    (tmp_path / "bytes.py").write_bytes(b"import torch\nx = '\xff'\n")
    done = run_tasks([*sorted(tmp_path.iterdir()), tmp_path / "gone.py"], jobs)
    assert done["good.py"].data == b"import keras\n"
    assert done["left.py"].unfinished
    assert "'(' was never closed" in str(done["syntax.py"].error)
    assert "0xff" in str(done["bytes.py"].error)
    assert "no such file" in str(done["gone.py"].error)
    assert "internal error" in str(done["crash.py"].error)
    assert "KeyError at stub_engine.py" in str(done["crash.py"].error)
    assert done["crash.py"].data == b"import torch  # crash\n"


@pytest.mark.usefixtures("quick_engine")
def test_a_worker_that_dies_costs_only_its_file(tmp_path: Path) -> None:
    files = {f"f{number}.py": "import torch\n" for number in range(6)}
    write_tree(tmp_path, {**files, "killer.py": "import torch  # kill\n"})
    done = run_tasks(sorted(tmp_path.iterdir()), 2, "fork")
    assert "ended from outside" in str(done.pop("killer.py").error)
    assert {result.data for result in done.values()} == {b"import keras\n"}


def test_spawned_workers_give_what_one_process_gives(tmp_path: Path) -> None:
    files = {"a.py": "import os\n", "b.py": "import torch\nx = torch.ones(3)\n", "c.py": "("}
    write_tree(tmp_path, files)
    paths = sorted(tmp_path.iterdir())
    alone, spawned = run_tasks(paths, 1), run_tasks(paths, 2, "spawn")
    assert {n: (r.data, r.findings, r.note, str(r.error)) for n, r in alone.items()} == {
        n: (r.data, r.findings, r.note, str(r.error)) for n, r in spawned.items()
    }


def test_an_error_survives_the_way_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(SourceError("a.py", 1, 2, "oh")))
    assert str(error) == "a.py:1:2: oh"


def test_callers_are_the_programs_that_import_a_file(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "train.py": "from engine import fit\n",
            "engine.py": "import models.net as m\n",
            "models/__init__.py": "",
            "models/net.py": "import torch\n",
            "other.py": "import net\n",
            "venv/late.py": "import models.net\n",
        },
    )
    load_module.cache_clear()
    found = find_callers(tmp_path / "models/net.py", tmp_path)
    assert [caller.names for caller in found] == [("models.net",), ("models.net",)]
    assert [caller.text for caller in found] == [
        "import models.net as m\n",
        "from engine import fit\n",
    ]
    assert "engine" in found[1].siblings
