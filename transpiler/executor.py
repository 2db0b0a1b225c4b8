"""The executor: many files by several processes, where a bad one does not stop the rest."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from transpiler.config import Config
from transpiler.plan import Task
from transpiler.source import SourceError
from transpiler.translation import Target, Translation, translate_path

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

StartMethod = Literal["fork", "spawn"]


def translate_task(task: Task, to: Target, config: Config) -> Translation:
    """Read and translate one file."""
    result = translate_path(task.path, to, config, task.root)
    if not result.findings:
        result.texts = {}  # nothing will be quoted
    return result


def translate_tasks(
    tasks: Sequence[Task],
    to: Target,
    config: Config,
    jobs: int | None = None,
    method: StartMethod | None = None,
) -> Iterator[tuple[int, Translation]]:
    """Translate files, each with its number, in the order in which they are done."""
    gc.enable()  # switched off for the sake of a single short run
    jobs = min(jobs or count_processors(), len(tasks))
    if jobs <= 1:
        for number, task in enumerate(tasks):
            yield number, translate_task(task, to, config)
        return
    left = dict(enumerate(tasks))
    for number, result in _run_together(left, to, config, jobs, method or choose_method()):
        del left[number]
        yield number, result
    yield from _run_alone(left, to, config, method or choose_method())


def count_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_method() -> StartMethod:
    """A fork shares what is loaded, and is safe only on Linux and without threads."""
    alone = threading.active_count() == 1
    return "fork" if sys.platform == "linux" and alone else "spawn"


def _run_together(
    tasks: dict[int, Task], to: Target, config: Config, jobs: int, method: StartMethod
) -> Iterator[tuple[int, Translation]]:
    """All files by one pool; if a worker dies, those not done yet are left over."""
    from concurrent.futures import as_completed
    from concurrent.futures.process import BrokenProcessPool

    pool = _open_pool(jobs, method)
    try:
        futures = {
            pool.submit(translate_task, task, to, config): number for number, task in tasks.items()
        }
        for future in as_completed(list(futures)):
            yield futures.pop(future), future.result()
    except BrokenProcessPool:
        pass
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_alone(
    tasks: dict[int, Task], to: Target, config: Config, method: StartMethod
) -> Iterator[tuple[int, Translation]]:
    """After a worker died: one file at a time, so that only the file to blame is lost."""
    from concurrent.futures.process import BrokenProcessPool

    pool = None
    for number, task in tasks.items():
        pool = pool or _open_pool(1, method)
        try:
            yield number, pool.submit(translate_task, task, to, config).result()
        except BrokenProcessPool:
            pool = None
            message = "the process that translated it was ended from outside (out of memory?)"
            yield number, Translation(task.path, error=SourceError(task.path, 0, 0, message))
    if pool:
        pool.shutdown()


def _open_pool(jobs: int, method: StartMethod) -> ProcessPoolExecutor:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    if method == "fork":
        import transpiler.convert  # noqa: F401 - loaded once, shared by all

        gc.freeze()
    return ProcessPoolExecutor(jobs, get_context(method), initializer=_ignore_interrupts)


def _ignore_interrupts() -> None:
    """Control-C is the main process's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
