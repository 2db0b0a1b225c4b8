"""The command line: exit codes, streams, and that bad input costs nothing."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler import __version__
from transpiler.cli import main

pytestmark = pytest.mark.usefixtures("quick_engine")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str = "import torch\n") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def snapshot() -> dict[str, bytes]:
    """Every file under the working folder."""
    return {str(p): p.read_bytes() for p in sorted(Path().rglob("*")) if p.is_file()}


# ---- one file ------------------------------------------------------------------------------------


def test_a_file_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py")
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 0
    assert Path("out.py").read_text() == "import keras\n"
    assert Path("train.py").read_text() == "import torch\n"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "wrote out.py: nothing left for a person\n"


@pytest.mark.parametrize("extra", [[], ["-o", "-"]])
def test_a_file_to_standard_output(capsys: pytest.CaptureFixture[str], extra: list[str]) -> None:
    write("train.py", "import torch  # caution\n")
    assert main(["train.py", "--to", "tf", *extra]) == 0
    captured = capsys.readouterr()
    assert captured.out == "import keras  # caution\n"
    assert captured.err.startswith("train.py:1:1: caution some-caution: this is caution\n    hint:")


def test_a_file_into_a_folder() -> None:
    write("src/train.py")
    assert main(["src/train.py", "--to", "tf", "-o", "out/"]) == 0
    assert main(["src/train.py", "--to", "tf", "-o", "src/../out"]) == 0
    assert Path("out/train.py").read_text() == "import keras\n"


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"import torch\r\nx = 1  # manual\r\n"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert main(["-", "--to", "tf"]) == 1
    captured = capsys.readouterr()
    assert captured.out in (
        "import keras\r\nx = 1  # manual\r\n",
        "import keras\nx = 1  # manual\n",
    )
    assert captured.err.startswith("<stdin>:2:1: manual some-manual")


@pytest.mark.parametrize("name", ["tensorflow", "keras", "tf"])
def test_targets_have_long_names_too(name: str) -> None:
    write("train.py")
    assert main(["train.py", "--to", name, "-o", "out.py"]) == 0
    assert Path("out.py").read_text() == "import keras\n"


def test_what_is_left_for_a_person_is_written_and_exits_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("train.py", "import torch\nx = 1  # manual\ny = 2  # caution\n")
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 1
    assert Path("out.py").read_text().startswith("import keras")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "train.py:2:1: manual some-manual: this is manual",
        "train.py:3:1: caution some-caution: this is caution",
        "wrote out.py: 1 caution, 1 place left for a person",
    ]


def test_encoding_newlines_and_mode_are_kept() -> None:
    data = b"# coding: latin-1\r\nimport torch\r\nx = '\xe9'\r\n"
    Path("train.py").write_bytes(data)
    Path("train.py").chmod(0o755)
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 0
    assert Path("out.py").read_bytes() == data.replace(b"torch", b"keras")
    assert os.access("out.py", os.X_OK)


# ---- nothing written -----------------------------------------------------------------------------


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py")
    write("done.py", "import keras\n")
    before = snapshot()
    assert main(["train.py", "done.py", "--to", "tf", "--check"]) == 1
    assert "train.py: would change\n" in capsys.readouterr().err
    assert main(["done.py", "--to", "tf", "--check"]) == 0
    assert snapshot() == before


def test_check_of_an_output_tells_whether_it_is_up_to_date() -> None:
    write("train.py")
    arguments = ["train.py", "--to", "tf", "-o", "out.py"]
    assert main([*arguments, "--check"]) == 1
    assert not Path("out.py").exists()
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    write("out.py", "import keras  # edited\n")
    assert main([*arguments, "--check"]) == 1


def test_diff(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py", "import torch\nx = 1")
    before = snapshot()
    assert main(["train.py", "--to", "tf", "-o", "out.py", "--diff"]) == 0
    assert snapshot() == before
    assert capsys.readouterr().out == (
        "--- train.py\n+++ out.py\n@@ -1,2 +1,2 @@\n-import torch\n+import keras\n x = 1\n"
        "\\ No newline at end of file\n"
    )
    assert main(["train.py", "--to", "tf", "--diff", "--check"]) == 1


# ---- several files -------------------------------------------------------------------------------


def test_a_folder_to_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    write("src/train.py", "import torch\nfrom models.net import Net  # caution\n")
    write("src/models/net.py", "import torch  # caution\n")
    write("src/models/__init__.py", "")
    write("src/plain.py", "x  =  1\n")
    write("src/broken.py", "import torch\ndef f(:\n")
    write("src/data.csv", "1,2\n")
    assert main(["src", "--to", "tf", "-o", "out"]) == 2
    out = {path[4:]: data for path, data in snapshot().items() if path.startswith("out/")}
    assert out == {
        "models/__init__.py": b"",
        "models/net.py": b"import keras  # caution\n",
        "plain.py": b"x  =  1\n",
        "train.py": b"import keras\nfrom models.net import Net  # caution\n",
    }
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "src/models/net.py:1:1: caution some-caution: this is caution",
        "src/train.py:2:1: caution some-caution: this is caution",
        "src/broken.py:2:7: error: syntax error: invalid syntax",
        "src/models/__init__.py: note: no code in it, left as it is",
        "src/plain.py: note: neither PyTorch nor TensorFlow in it, left as it is",
        "src/data.csv: note: not Python, not copied",
        "wrote 4 files: 2 cautions, 1 file could not be translated",
    ]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_the_report_does_not_depend_on_the_processes(
    capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    for number in range(12):
        write(f"src/f{number:02}.py", "import torch\n" * number + "import torch  # manual\n")
    assert main(["src", "--to", "tf", "-o", "out", "-j", jobs, "-q"]) == 1
    lines = capsys.readouterr().err.splitlines()[::2]
    message = "manual some-manual: this is manual"
    assert lines == [f"src/f{n:02}.py:{n + 1}:1: {message}" for n in range(12)]


def test_siblings_reach_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    write("src/train.py", "from net import Net  # siblings\n")
    write("src/net.py", "import torch\n")
    assert main(["src/train.py", "--to", "tf"]) == 0
    assert "some-siblings: net\n" in capsys.readouterr().err


def test_in_place_rewrites_what_changes_and_nothing_else() -> None:
    write("a.py")
    write("b.py", "x = 1\n")
    os.utime("b.py", (1, 1))
    assert main(["a.py", "b.py", "--to", "tf", "--in-place"]) == 0
    assert Path("a.py").read_text() == "import keras\n"
    assert os.stat("b.py").st_mtime == 1


def test_excluded_files_are_left_out() -> None:
    write("pyproject.toml", "[tool.transpile]\nexclude = ['old']\n")
    write("src/a.py")
    write("src/old/b.py")
    assert main(["src", "--to", "tf", "-o", "out"]) == 0
    assert [path for path in snapshot() if path.startswith("out")] == ["out/a.py"]


# ---- what needs no translation, or cannot have one -----------------------------------------------


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("", "no code in it"),
        ("# only a comment\n\n", "no code in it"),
        ("import  os\nx = [1,2]\n", "neither PyTorch nor TensorFlow"),
        ("import  keras\nx = [1,2]\n", "already written for TensorFlow"),
        ("from tensorflow.keras import  layers\n", "already written for TensorFlow"),
    ],
)
def test_files_without_need_are_written_unchanged(
    capsys: pytest.CaptureFixture[str], text: str, note: str
) -> None:
    write("train.py", text)
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 0
    assert Path("out.py").read_text() == text
    assert f"train.py: note: {note}" in capsys.readouterr().err


def test_a_local_name_is_no_framework(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py", "from .torch import x\n# import torch\n")
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 0
    assert "neither PyTorch nor TensorFlow" in capsys.readouterr().err


def test_a_file_of_both_is_translated_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py", "import torch\nimport tensorflow as tf\n")
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 0
    assert Path("out.py").read_text().startswith("import keras\n")
    assert "train.py:2:8: caution both-frameworks:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "column", "name"),
    [
        ("with tf.Session() as session:\n    pass", 6, "tf.Session"),
        ("x = tf.placeholder(tf.float32)", 5, "tf.placeholder"),
        ("x = tf.compat.v1.placeholder(tf.float32)", 5, "tf.compat.v1.placeholder"),
        ("tf.compat.v1.disable_eager_execution()", 1, "tf.compat.v1.disable_eager_execution"),
        ("import tensorflow.compat.v1 as t1\ny = t1.get_variable('w')", 5, "t1.get_variable"),
    ],
)
def test_tensorflow_1_is_one_finding(
    capsys: pytest.CaptureFixture[str], line: str, column: int, name: str
) -> None:
    text = f"import tensorflow as tf\n\n\ndef main():\n    {line}\n    z = tf.placeholder('f')\n"
    text = text.replace("\ny =", "\n    y =").replace("\n    pass", "\n        pass")
    write("train.py", text)
    assert main(["train.py", "--to", "torch", "-o", "out.py"]) == 1
    number = 6 if "import tensorflow.compat" in line else 5
    findings = [x for x in capsys.readouterr().err.splitlines() if ": manual" in x]
    (finding,) = findings
    assert finding.startswith(
        f"train.py:{number}:{column + 4}: manual tensorflow-1: {name} belongs"
    )
    lines = Path("out.py").read_text().splitlines()
    assert lines[number - 1].startswith("    # TODO(transpile): ")
    assert "\n".join(lines[: number - 1] + lines[number:]) + "\n" == text


def test_a_session_that_only_configures_the_device_is_no_tensorflow_1() -> None:
    text = (
        "import tensorflow as tf\nimport keras\nconfig = tf.compat.v1.ConfigProto()\n"
        "session = tf.compat.v1.Session(config=config)\ntf.compat.v1.logging.set_verbosity(3)\n"
    )
    write("train.py", text)
    assert main(["train.py", "--to", "torch", "-o", "out.py"]) == 0


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"import torch\nx = (1,\n", "train.py:2:5: error: syntax error: '(' was never closed"),
        (b"import torch\n  x = 1\n", "train.py:2:"),
        (b"import torch\nprint 'x'\n", "train.py:2:1: error: syntax error: Missing parentheses"),
        (b"import torch\nx = '\xff'\n", "train.py:2:6: error: not valid UTF-8: byte 0xff"),
        (b"import torch\nx\0\n", "train.py:2:2: error: not Python source"),
        (b"import torch  # crash\n", "train.py: error: internal error, nothing was written"),
        (b"import torch\nx = " + b"(" * 300 + b")" * 300, "train.py:2:"),
    ],
)
def test_bad_files(capsys: pytest.CaptureFixture[str], data: bytes, told: str) -> None:
    Path("train.py").write_bytes(data)
    write("out.py", "precious\n")
    before = snapshot()
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 2
    assert main(["train.py", "--to", "tf", "--in-place"]) == 2
    assert main(["train.py", "--to", "tf", "--check"]) == 2
    assert snapshot() == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(told)


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gone.py", "--to", "tf", "-o", "out.py"]) == 2
    assert capsys.readouterr().err == "gone.py: error: no such file or folder\n"
    assert snapshot() == {}


def test_an_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py")
    before = snapshot()
    assert main(["train.py", "--to", "tf", "-o", "none/out.py"]) == 2
    assert "none/out.py: error: cannot be written: its folder does not exist" in (
        capsys.readouterr().err
    )
    assert snapshot() == before


def test_the_output_is_never_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    write("src/train.py")
    os.link("src/train.py", "hard.py")
    Path("soft.py").symlink_to("src/train.py")
    before = snapshot()
    for output in ["src/train.py", "src/../src/train.py", "src", "hard.py", "soft.py"]:
        assert main(["src/train.py", "--to", "tf", "-o", output]) == 2
        assert "nothing was written" in capsys.readouterr().err
    assert main(["src", "--to", "tf", "-o", "src/"]) == 2
    assert snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a file, a folder, or -"),
        (["a.py"], "the target is missing: --to tf or --to torch"),
        (["a.py", "--to", "jax"], "'jax' is neither tf nor torch"),
        (["a.py", "--to", "tf", "--fidelity", "most"], "invalid choice: 'most'"),
        (["a.py", "--to", "tf", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["a.py", "b.py", "--to", "tf"], "several files need an output folder"),
        (["a.py", "b.py", "--to", "tf", "-o", "c.py"], "several inputs need a folder"),
        (["src", "--to", "tf"], "several files need an output folder"),
        (["src", "--to", "tf", "-o", "a.py"], "src is a folder, but the output a.py is a file"),
        (["-", "a.py", "--to", "tf"], "standard input (-) is read alone"),
        (["-", "--to", "tf", "--in-place"], "cannot be rewritten in place"),
        (["a.py", "--to", "tf", "-o", "b.py", "--in-place"], "exclude each other"),
        (["a.py", "--to", "tf", "-o", "b.ipynb"], "a notebook is translated to a notebook"),
        (["a.py", "--to", "tf", "-j", "0"], "'0' is not a number of processes"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    for name in ("a.py", "b.py", "src/c.py"):
        write(name)
    before = snapshot()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("usage: transpile")
    assert captured.out == ""
    assert snapshot() == before


def test_a_wrong_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    write("train.py")
    write("pyproject.toml", "[tool.transpile]\ncolour = 1\n")
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 2
    assert ":2:1: error: unknown key 'colour'" in capsys.readouterr().err
    assert not Path("out.py").exists()


def test_configuration_and_its_overruling(capsys: pytest.CaptureFixture[str]) -> None:
    write("src/train.py", "import torch  # fidelity\n")
    write("src/pyproject.toml", "[tool.transpile]\nfidelity = 'exact'\n")
    write("other.toml", "[tool.transpile]\n")
    for extra, fidelity in [
        ([], "exact"),
        (["--fidelity", "fluent"], "fluent"),
        (["--config", "other.toml"], "fluent"),
    ]:
        assert main(["src/train.py", "--to", "tf", *extra]) == 0
        assert f"some-fidelity: {fidelity}\n" in capsys.readouterr().err
    assert main(["src/train.py", "--to", "tf", "--config", "gone.toml"]) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (\n", "ours.py:1:5: error: syntax error: '(' was never closed"),
        ("import os\nimport not_there\n", "ours.py:2:1: error: the rule file cannot be used: Mod"),
        (
            "def f():\n    return 1 / 0\nf()\n",
            "ours.py:2:1: error: the rule file cannot be used: Z",
        ),
    ],
)
def test_a_wrong_rule_file(capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    write("train.py")
    write("ours.py", text)
    write("pyproject.toml", "[tool.transpile]\nrules = ['ours.py']\n")
    assert main(["train.py", "--to", "tf", "-o", "out.py"]) == 2
    assert told in capsys.readouterr().err
    assert not Path("out.py").exists()


# ---- reports -------------------------------------------------------------------------------------


def test_json_is_all_there_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    write("src/a.py", "import torch  # manual\n")
    write("src/b.py", "(")
    assert main(["src", "--to", "tf", "-o", "out", "--output-format", "json"]) == 2
    document = json.loads(capsys.readouterr().err)
    assert [finding["path"] for finding in document["findings"]] == ["src/a.py"]
    assert [error["path"] for error in document["errors"]] == ["src/b.py"]


def test_full_shows_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.py", "import torch\nx = 1  # manual\n")
    assert main(["a.py", "--to", "tf", "--output-format", "full"]) == 1
    assert "\n    2 | x = 1  # manual\n      | ^^^^^\n    hint: " in capsys.readouterr().err


def test_a_report_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.py", "import torch  # manual\n")
    arguments = ["a.py", "--to", "tf", "-o", "b.py", "--output-format", "sarif", "--report", "r"]
    assert main(arguments) == 1
    assert json.loads(Path("r").read_text())["version"] == "2.1.0"
    assert capsys.readouterr().err == ""
    assert main([*arguments[:-1], "none/r"]) == 2


def test_quiet_tells_findings_and_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    write("src/a.py", "import torch  # caution\n")
    write("src/b.py", "x = 1\n")
    write("src/c.csv", "")
    assert main(["src", "--to", "tf", "-o", "out", "-q"]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 2


# ---- commands ------------------------------------------------------------------------------------


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"transpile {__version__}\n"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("--to", "verify", "weights", "explain", "rules", "--check", "exit codes"):
        assert word in text


def test_commands_get_their_arguments_and_give_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transpiler import cli

    write("fake_command.py", "def main(arguments):\n    return len(arguments)\n")
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setitem(cli.COMMANDS, "verify", ("fake_command", ""))
    assert main(["verify", "a", "b", "c"]) == 3


def test_a_command_that_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transpiler import cli

    monkeypatch.setitem(cli.COMMANDS, "verify", ("transpiler.nowhere.cli", ""))
    assert main(["verify"]) == 2
    assert "verify is not part of this installation" in capsys.readouterr().err


def test_a_file_named_like_a_command() -> None:
    write("verify")
    assert main(["./verify", "--to", "tf", "-o", "out.py"]) == 0
    assert Path("out.py").read_text() == "import keras\n"


# ---- as a process --------------------------------------------------------------------------------


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "transpiler", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_the_process_gives_the_exit_code_and_all_of_the_output() -> None:
    text = "import keras\n" + "x = 1\n" * 50_000
    result = run("-", "--to", "tf", input=text)
    assert result.returncode == 0
    assert result.stdout == text
    assert result.stderr.startswith("<stdin>: note: already written for TensorFlow")
    assert run("gone.py", "--to", "tf").returncode == 2


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["a.py"], ["a.py", "--to", "x"]])
def test_what_needs_no_engine_does_not_load_it(arguments: list[str]) -> None:
    loaded = import_time(*arguments)
    assert not loaded & {"libcst", "black", "rich", "multiprocessing", "tomllib", "json", "ast"}


def test_one_file_loads_no_more_than_it_needs() -> None:
    write("train.py", "import torch\n\nx = torch.ones(3)\n")
    loaded = import_time("train.py", "--to", "tf", "-o", "out.py")
    assert "libcst" in loaded
    unwanted = {"rich", "multiprocessing", "nbformat", "torch", "tensorflow", "keras", "numpy"}
    assert not loaded & unwanted


def import_time(*arguments: str) -> set[str]:
    """The names of the modules that a run of the command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "transpiler", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output() -> None:
    write("train.py", "import keras\n")
    command = [sys.executable, "-m", "transpiler", "train.py", "--to", "tf"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 2
    assert "<stdout>: error: cannot be written: no space left on device" in result.stderr
    assert "Traceback" not in result.stderr


# ---- the progress bar ----------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    from transpiler.progress import show_progress

    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(3, wanted=True) as advance:
        for _ in range(3):
            advance()
    assert ("3/3" in stream.getvalue()) is terminal
