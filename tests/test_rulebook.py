"""The rule book that imports rule files as they are asked for, against the one that reads all."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler import rulebook, ruleindex
from transpiler.rule import Direction

PACKAGE = "own_rules"
FILES = {
    "first": """
        from transpiler.rule import Rule, infers
        RULES = [Rule("first", "torch.a(x)", "tf.a(x)"), Rule("both", "torch.b(x)", "tf.b(x)")]
        @infers("torch.a")
        def gives(call): return 1
    """,
    "second": """
        from transpiler.rule import Rule, infers
        LATER = Rule("later", "torch.b(x)", "tf.c(x)")
        @infers("torch.a")
        def gives(call): return 2
    """,
    "third": "UNSUPPORTED = {'torch.c': 'no'}",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of rule files, with byte code (and the index) allowed to be written."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, text in FILES.items():
        write(folder / f"{name}.py", text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(rulebook, "SHIPPED", PACKAGE)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    forget()
    yield folder
    forget()


def write(path: Path, text: str) -> None:
    path.write_text("\n".join(line[8:] for line in text.splitlines()) if "\n" in text else text)


def forget() -> None:
    """Whatever was loaded of the package, as in a new process."""
    for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    importlib.invalidate_caches()
    rulebook._load.cache_clear()
    ruleindex.read_contents.cache_clear()


def loaded() -> set[str]:
    return {n.partition(".")[2] for n in sys.modules if n.startswith(f"{PACKAGE}.")}


def names(book: rulebook.RuleBook, name: str) -> list[str]:
    return [getattr(rule, "name", "") for rule in book.candidates("tf", name)]


@pytest.mark.parametrize("to", ["tf", "torch"])
def test_every_name_has_the_rules_and_facts_that_reading_all_files_gives(to: Direction) -> None:
    """Whether this process found an index of the shipped rules, or writes one now."""
    rulebook._load.cache_clear()
    lazy, whole = rulebook.load((), to), rulebook.load()
    assert lazy.rules[to].keys() == dict(whole.rules[to].items()).keys()
    for name in lazy.rules[to]:
        forward = [
            rule for rule in whole.candidates(to, name)
            if to == "torch" or not _only_from_tensorflow(rule)
        ]  # fmt: skip
        assert [id(r) for r in lazy.candidates(to, name)] == [id(r) for r in forward]
    if to == "torch":
        assert dict(lazy.knowledge.functions.items()) == dict(whole.knowledge.functions.items())
        assert dict(lazy.knowledge.properties.items()) == dict(whole.knowledge.properties.items())


def _only_from_tensorflow(rule: object) -> bool:
    module = getattr(getattr(rule, "function", None), "__module__", "").rpartition(".")[2]
    return module.startswith(rulebook.FROM_TENSORFLOW)


def test_a_file_is_imported_when_one_of_its_names_is_asked_for(package: Path) -> None:
    rulebook.load((), "tf")
    forget()
    book = rulebook.load((), "tf")
    assert loaded() == {"third"}  # what it says of names is read at once
    assert book.unsupported == {"torch.c": "no"}
    assert "torch.a" in book.knowledge.functions
    assert loaded() == {"third"}
    assert names(book, "torch.a") == ["first"]
    assert loaded() == {"first", "third"}
    assert names(book, "torch.b") == ["both", "later"]
    function = book.knowledge.functions["torch.a"]
    assert function(None) == 2  # the last file's, as when all are read


def test_an_index_is_void_when_a_file_changes_comes_or_goes(package: Path) -> None:
    def reload() -> rulebook.RuleBook:
        forget()
        return rulebook.load((), "tf")

    reload()
    write(
        package / "second.py",
        FILES["second"].replace("torch.b", "torch.d").replace("later", "changed"),
    )
    assert names(reload(), "torch.d") == ["changed"]
    assert names(reload(), "torch.b") == ["both"]
    write(package / "fourth.py", FILES["second"].replace("later", "fourth"))
    assert names(reload(), "torch.b") == ["both", "fourth"]
    (package / "fourth.py").unlink()
    assert names(reload(), "torch.b") == ["both"]


def test_a_damaged_index_is_not_read(package: Path) -> None:
    rulebook.load((), "tf")
    place = ruleindex._place(PACKAGE, "tf")
    for damage in ("", "[]", "{", '{"index": {"rules": 1}}'):
        place.write_text(damage)
        forget()
        assert names(rulebook.load((), "tf"), "torch.b") == ["both", "later"]


def test_nothing_is_written_where_byte_code_is_not(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rulebook.load((), "tf")
    assert not ruleindex._place(PACKAGE, "tf").exists()


def test_own_rule_files_come_first_with_rules_and_facts(package: Path, tmp_path: Path) -> None:
    for folder, answer in (("one", 3), ("two", 4)):
        path = tmp_path / folder / "mine.py"
        path.parent.mkdir()
        text = FILES["second"].replace("later", folder).replace("return 2", f"return {answer}")
        write(path, text)
        for _ in range(2):  # all files read, and by the index
            rulebook._load.cache_clear()
            book = rulebook.load((str(path),), "tf")
            assert names(book, "torch.b") == [folder, "both", "later"]
            assert book.knowledge.functions["torch.a"](None) == answer


def test_runs_without_an_index_writing_one_and_from_it_give_the_same(tmp_path: Path) -> None:
    source = tmp_path / "train.py"
    source.write_text("import torch\nlayer = torch.nn.Linear(2, 3)\nlayer.zero_grad()\n")
    caching = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}
    without = run_on(source, {"PYTHONDONTWRITEBYTECODE": "1"})
    assert run_on(source, caching) == without
    assert list(tmp_path.rglob("index.*.tf.json"))
    assert run_on(source, caching) == without


def run_on(source: Path, settings: dict[str, str]) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "transpiler", str(source), "--to", "tf"]
    environment = {**os.environ, **settings}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, run.stderr
