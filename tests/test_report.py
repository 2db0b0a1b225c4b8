"""Reports are pure functions of the findings, one per form."""

import json

import pytest

from transpiler.findings import Finding, Grade, Span, sort_findings
from transpiler.report import FORMATS, Report, render_report
from transpiler.source import SourceError

TEXT = "import torch\n\tx = 数据(a, b)  # note\n"
MANUAL = Finding(
    "src/a b.py", Span(2, 2, 2, 13), Grade.MANUAL, "some-rule", "100% unclear", "do:\nthis, now"
)
CAUTION = Finding("src/a b.py", Span(1, 1, 2, 4), Grade.CAUTION, "other", "differs by 1e-6")
CELL = Finding("n.ipynb:cell 3", Span(4, 1, 4, 9), Grade.CAUTION, "other", "differs")
REPORT = Report(
    findings=(CAUTION, MANUAL, CELL),
    errors=(SourceError("bad.py", 3, 7, "syntax error: oh"), SourceError("gone.py", 0, 0, "gone")),
    notes=(("a.py", "as it is"), ("b.py", "as it is"), ("", "wrote 3 files")),
    changes=("c.py",),
    texts={"src/a b.py": TEXT},
)


@pytest.mark.parametrize("form", ["text", "full", "github"])
def test_nothing_to_tell_is_told_with_silence(form: str) -> None:
    assert render_report(Report(), form) == ""


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_findings_give_the_same_report(form: str) -> None:
    text = render_report(REPORT, form)
    assert text == render_report(REPORT, form)
    assert text.endswith("\n")
    for part in ("100%", "syntax error: oh", "gone", "wrote 3 files"):
        assert part in text or form == "sarif"


def test_text() -> None:
    assert render_report(REPORT, "text").split("\n") == [
        "src/a b.py:1:1: caution other: differs by 1e-6",
        "src/a b.py:2:2: manual some-rule: 100% unclear",
        "    hint: do:",
        "    this, now",
        "n.ipynb:cell 3:4:1: caution other: differs",
        "bad.py:3:7: error: syntax error: oh",
        "gone.py: error: gone",
        "a.py, b.py: note: as it is",
        "wrote 3 files",
        "c.py: would change",
        "",
    ]


def test_full_shows_the_line_and_points_at_the_place() -> None:
    lines = render_report(REPORT, "full").split("\n")
    assert lines[1:4] == ["      |", "    1 | import torch", "      | ^^^^^^^^^^^^"]
    # A tab stays a tab, and a wide character takes two columns.
    assert lines[6:8] == ["    2 | \tx = 数据(a, b)  # note", "      | \t^^^^^^^^^^^^^"]


def test_a_finding_beyond_the_text_is_shown_without_a_line() -> None:
    finding = Finding("a.py", Span(9, 1, 9, 2), Grade.CAUTION, "other", "differs")
    report = Report(findings=(finding,), texts={"a.py": "x = 1\n"})
    assert render_report(report, "full") == "a.py:9:1: caution other: differs\n"


def test_many_notes_of_one_kind_are_one_line() -> None:
    notes = tuple((f"{name}.py", "as it is") for name in "abcdefg")
    text = render_report(Report(notes=notes), "text")
    assert text == "a.py, b.py, c.py and 4 more: note: as it is\n"


def test_json() -> None:
    document = json.loads(render_report(REPORT, "json"))
    assert document["findings"][1] == {
        "path": "src/a b.py",
        "line": 2,
        "column": 2,
        "end_line": 2,
        "end_column": 13,
        "grade": "manual",
        "rule": "some-rule",
        "message": "100% unclear",
        "hint": "do:\nthis, now",
    }
    assert document["errors"][1] == {
        "path": "gone.py",
        "line": None,
        "column": None,
        "message": "gone",
    }
    assert document["notes"][0] == {"path": "a.py", "message": "as it is"}
    assert document["would_change"] == ["c.py"]
    assert document["summary"] == {"exact": 0, "caution": 2, "manual": 1}


def test_github_escapes_what_its_commands_would_take_for_syntax() -> None:
    lines = render_report(REPORT, "github").split("\n")
    assert lines[0] == (
        "::warning file=src/a b.py,line=1,endLine=2,title=transpile other::differs by 1e-6"
    )
    assert lines[1] == (
        "::error file=src/a b.py,line=2,endLine=2,col=2,endColumn=13,"
        "title=transpile some-rule::100%25 unclear%0Ahint: do:%0Athis, now"
    )
    assert lines[2].startswith("::warning file=n.ipynb,title=transpile other::cell 3, line 4:")
    assert "::error file=bad.py,line=3,col=7,title=transpile::syntax error: oh" in lines


def test_sarif() -> None:
    document = json.loads(render_report(REPORT, "sarif"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "transpile"
    assert [rule["id"] for rule in driver["rules"]] == ["other", "some-rule"]
    first, second, third = run["results"]
    assert second["level"] == "error"
    assert second["ruleId"] == driver["rules"][second["ruleIndex"]]["id"] == "some-rule"
    place = second["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "src/a%20b.py"
    assert place["region"] == {"startLine": 2, "startColumn": 2, "endLine": 2, "endColumn": 13}
    assert first["level"] == "warning"
    assert "region" not in third["locations"][0]["physicalLocation"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "syntax error: oh"


def test_findings_sort_by_place_and_are_told_once() -> None:
    assert sort_findings([MANUAL, CAUTION, MANUAL, CELL]) == (CELL, CAUTION, MANUAL)
