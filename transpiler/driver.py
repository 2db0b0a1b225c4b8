"""The driver: from the command line's options to files, report and exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transpiler.config import Config, find_config, load_config
from transpiler.outcome import Outcome, make_report
from transpiler.plan import Options, Plan, Task, UsageError, plan_run
from transpiler.report import Report, render_report
from transpiler.source import STDIN, SourceError, make_folder, print_bytes, read_bytes, write_bytes
from transpiler.translation import Translation, translate_file, translate_path

DONE, LEFT, FAILED = 0, 1, 2
"""Exit codes: all done; something is left for a person, or would change; input or output failed."""


def run(options: Options) -> int:
    """Translate what the options name, and tell what there is to tell."""
    _check_usage(options)
    outcome, plan = Outcome(), Plan()
    try:
        config = _read_config(options)
        if list(options.inputs) == ["-"]:
            _run_stdin(options, config, outcome)
        else:
            plan = plan_run(options.inputs, options.output, options.in_place, config)
            outcome.errors += [(-1, error) for error in plan.errors]
            _run_tasks(plan.tasks, options, config, outcome)
        _print_diffs(outcome)
    except SourceError as error:
        outcome.errors.append((-1, error))
    _tell(make_report(options, outcome, plan), options)
    if outcome.errors:
        return FAILED
    left = any(result.unfinished for result in outcome.results.values())
    return LEFT if left or (options.check and outcome.changing) else DONE


def _check_usage(options: Options) -> None:
    several = len(options.inputs) > 1 or any(Path(name).is_dir() for name in options.inputs)
    if "-" in options.inputs:
        if len(options.inputs) > 1:
            raise UsageError("standard input (-) is read alone, without other inputs")
        if options.in_place:
            raise UsageError("standard input (-) cannot be rewritten in place")
    if options.in_place and options.output is not None:
        raise UsageError("--in-place and --output exclude each other")
    shows = options.check or options.diff
    if several and options.output is None and not (options.in_place or shows):
        raise UsageError("several files need an output folder (-o), --in-place, --check or --diff")


def _read_config(options: Options) -> Config:
    first = "." if options.inputs[0] == "-" else options.inputs[0]
    path = options.config or find_config(first)
    config = load_config(path) if path else Config()
    if config.rules:
        from transpiler.rulefiles import check_rules

        check_rules(config)
    return replace(config, fidelity=options.fidelity) if options.fidelity else config


def _run_stdin(options: Options, config: Config, outcome: Outcome) -> None:
    data = sys.stdin.buffer.read()
    result = translate_file(STDIN, data, options.to, config)
    output = None if options.output == "-" else options.output
    _finish(0, Task(STDIN, output), result, options, outcome, data)


def _run_tasks(tasks: Sequence[Task], options: Options, config: Config, outcome: Outcome) -> None:
    if len(tasks) == 1:
        result = translate_path(tasks[0].path, options.to, config, tasks[0].root)
        _finish(0, tasks[0], result, options, outcome)
        return
    from transpiler.executor import translate_tasks
    from transpiler.progress import show_progress

    with show_progress(len(tasks), wanted=not options.quiet) as advance:
        for number, result in translate_tasks(tasks, options.to, config, options.jobs):
            _finish(number, tasks[number], result, options, outcome)
            advance()


def _finish(
    number: int,
    task: Task,
    result: Translation,
    options: Options,
    outcome: Outcome,
    data: bytes | None = None,
) -> None:
    """Do with a translation what was asked for; what fails is kept for the report."""
    outcome.results[number] = result
    try:
        if result.error:
            raise result.error
        if options.check and _would_change(task, result):
            outcome.changing[number] = task.output or task.path
        if options.diff:
            old = read_bytes(task.path) if data is None else data
            outcome.diffs[number] = _diff(task, old, result)
        if not (options.check or options.diff):
            _write(number, task, result, options, outcome)
    except SourceError as error:
        outcome.errors.append((number, error))


def _would_change(task: Task, result: Translation) -> bool:
    """Whether a run without --check would change what is there: the output, or else the input."""
    if task.output is None or task.output == task.path:
        return result.changed
    return not os.path.exists(task.output) or read_bytes(task.output) != result.data


def _diff(task: Task, old: bytes, result: Translation) -> str:
    from transpiler.diff import make_diff

    return make_diff(old, result.data, task.path, task.output or task.path)


def _write(
    number: int, task: Task, result: Translation, options: Options, outcome: Outcome
) -> None:
    if task.output is None:
        print_bytes(result.data)
        return
    if options.in_place and not result.changed:
        return
    if task.makes_folder:
        make_folder(os.path.dirname(task.output))
    write_bytes(task.output, result.data, like=None if task.path == STDIN else task.path)
    outcome.written[number] = task.output


def _print_diffs(outcome: Outcome) -> None:
    text = "".join(outcome.diffs[number] for number in sorted(outcome.diffs))
    if not text:
        return
    print_bytes(text.encode("utf-8", "backslashreplace"))


def _tell(report: Report, options: Options) -> None:
    """Write the report to standard error, or to the file that was named for it."""
    text = render_report(report, options.form)
    if options.report:
        write_bytes(options.report, text.encode())
    else:
        sys.stderr.write(text)
