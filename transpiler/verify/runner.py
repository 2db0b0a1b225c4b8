"""One side of a twin run: python -m transpiler.verify.runner ORDERS.json, in its own process."""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from transpiler.verify.scratch import LinkCutter
from transpiler.verify.side import Framework, Run, Setup

if TYPE_CHECKING:
    from transpiler.weights.job import Job


class Printed(io.TextIOBase):
    """Standard output that also records each finished line."""

    def __init__(self, stream: TextIO, run: Run) -> None:
        self.stream = stream
        self.run = run
        self.line = ""

    def write(self, text: str) -> int:
        """Pass the text on; record what ends with a newline."""
        if self.run.recorder.stopped:
            return len(text)
        self.line += text
        while "\n" in self.line:
            line, self.line = self.line.split("\n", 1)
            self.run.recorder.add("print", text=line.rsplit("\r", 1)[-1])
        return self.stream.write(text)

    def flush(self) -> None:
        """Flush what is behind."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Never a terminal: no progress bars drawn over."""
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return self.stream.encoding

    def fileno(self) -> int:
        """The stream's own."""
        return self.stream.fileno()


def prepare_environment() -> None:
    """One thread each, no windows, no chatter; before a framework is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = "1"
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["PYTHONHASHSEED"] = "0"
    sys.dont_write_bytecode = True


def import_framework(framework: Framework) -> None:
    """The slow part, done while the other side may still be running."""
    if framework == "torch":
        import torch
        import torch.utils.data  # noqa: F401
    else:
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def wait_for_tape(exchange: Path) -> bool:
    """Wait until the original has finished; False where it failed."""
    while not (exchange / "original.events").exists():
        if (exchange / "abandoned").exists():
            return False
        time.sleep(0.02)
    return True


def make_run(setup: Setup) -> Run:
    """Open the tape and the recorder."""
    from transpiler.verify.recorder import Recorder
    from transpiler.verify.tape import Captures, Draws
    from transpiler.weights.declared import pick_up

    exchange = Path(setup.exchange)
    pick_up(exchange)
    recorder = Recorder(exchange, setup.side, setup.steps)
    if not setup.record:
        recorder.goal = read_goal(exchange / "original.events")
    draws = Draws(exchange, setup.record)
    recorder.on_stop = lambda: setattr(draws, "over", True)
    return Run(setup, recorder, draws, Captures(exchange, setup.record))


def read_goal(path: Path) -> tuple[int, int] | None:
    """The losses and steps that another run recorded."""
    if not path.exists():
        return None
    kinds = [event["kind"] for event in pickle.loads(path.read_bytes())["events"]]
    return kinds.count("loss"), kinds.count("step")


def install(run: Run) -> None:
    """Patch numpy and the side's framework."""
    from transpiler.verify.numpy_random import watch_numpy
    from transpiler.verify.seeds import Seeds

    run.seeds = Seeds(run)
    run.seeds.watch()
    watch_numpy(run)
    if run.setup.framework == "torch":
        from transpiler.verify import torch_side as side
    else:
        from transpiler.verify import tf_side as side  # type: ignore[no-redef]
    side.install(run)


class Magics:
    """What a notebook exported to .py calls for its magics: nothing of them concerns training."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def execute(setup: Setup) -> None:
    """Run the script as __main__."""
    script = Path(setup.script)
    sys.argv = [setup.script, *setup.arguments]
    sys.path[0] = str(script.parent)
    os.chdir(setup.folder)
    module = types.ModuleType("__main__")
    module.__dict__.update({"__file__": setup.script, "__builtins__": __builtins__})
    module.__dict__["get_ipython"] = lambda: Magics()
    sys.modules["__main__"] = module
    code = compile(script.read_text(encoding="utf-8"), setup.script, "exec", dont_inherit=True)
    exec(code, module.__dict__)


def run_script(run: Run) -> str | None:
    """Run the script to its end or to the wanted step; the traceback where it fails."""
    from transpiler.verify.recorder import StopTwin

    sys.stdout = Printed(sys.stdout, run)
    try:
        execute(run.setup)
    except StopTwin as stop:
        run.stopped_in = stop.__traceback__
    except SystemExit as end:
        if end.code not in (None, 0):
            return f"the script left with exit code {end.code}"
    except BaseException:
        if run.failure:
            return run.failure
        return without_own_frames(traceback.format_exc(), run)
    finally:
        sys.stdout.flush()
        sys.stdout = sys.stdout.stream
    return None


def without_own_frames(text: str, run: Run) -> str:
    """A traceback as the script alone would have given it."""
    own = str(Path(__file__).parent)
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line.startswith('  File "'):
            skipping = own in line
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line)
    return "\n".join(kept).replace(run.setup.root + os.sep, "")


def run_and_leave(orders: Path) -> None:
    """Carry out one side's orders in this process, its output in files beside them."""
    code = 2
    try:
        for number, suffix in ((1, ".out"), (2, ".err")):
            target = os.open(orders.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, number)
        code = carry_out(Setup.read(orders))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)  # no exit handlers: the frameworks' take long and say nothing


def carry_out(setup: Setup) -> int:
    """Run one side as ordered; 0, or 2 where it failed."""
    prepare_environment()
    import_framework(setup.framework)
    if not setup.record and not wait_for_tape(Path(setup.exchange)):
        return 2
    run = make_run(setup)
    cutter = LinkCutter(Path(setup.root))
    cutter.install()
    run.cut_link = cutter.cut
    error: str | None
    try:
        install(run)
        job = start_job(run)
        error = run_script(run)
        if error is None and job is not None:
            error = job.finish()
    except BaseException:
        error = traceback.format_exc()
    finish(run, error)
    return 0 if error is None else 2


def keep_finals(run: Run) -> list[Any]:
    """Leave the original's variables to its twin; compare the twin's with them."""
    from transpiler.verify.finals import Finals, compare_finals

    if not run.recorder.stopped and run.models is not None:
        run.finals = run.models.finals()
    path = Path(run.setup.exchange) / "finals.pickle"
    mine = run.finals or Finals()
    if not run.record:
        return compare_finals(run, Finals.read(path), mine)
    mine.write(path)
    return []


def start_job(run: Run) -> Job | None:
    """The job that this side has beside running the script, if any."""
    if run.setup.job is None:
        return None
    from transpiler.weights.job import start

    return start(run)


def finish(run: Run, error: str | None) -> None:
    """Close the tape and write down how it went."""
    weights = keep_finals(run) if error is None and run.setup.job is None else []
    if run.models is not None:
        run.models.seal()
    if run.seeds is not None:
        run.seeds.close()
    run.draws.close()
    run.captures.close()
    missing = dict(run.draws.missing)
    unused = (
        []
        if run.record
        else [
            m.tree.kinds[0]
            for i, m in enumerate(run.captures.models)
            if not m.loose and all(i != index for index, _ in run.used)
        ]
    )
    run.recorder.close(
        error,
        names=run.names,
        weights=weights,
        notes=run.notes,
        missing=missing,
        unused=unused,
        leftover={} if run.record else dict(run.draws.leftover()),
    )


if __name__ == "__main__":
    run_and_leave(Path(sys.argv[1]))
