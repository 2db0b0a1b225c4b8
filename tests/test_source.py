"""Source files keep their encoding, newlines and permissions; they are written whole or not."""

import os
import stat
from pathlib import Path

import pytest

from transpiler.source import SourceError, decode_source, read_source, write_bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x = 1",
        b"x = 1\n",
        b"x = 1\r\ny = 2\r\n",
        b"x = 1\ry = 2\r",
        b"\xef\xbb\xbfx = 1\n",
        b"\xef\xbb\xbf# coding: utf-8\r\nx = 1\r\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
        b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\nx = '\x80'\n",
        "# größer\nx = '数'\n".encode(),
        b"x = 1\n\x0cy = 2\n",
    ],
)
def test_reading_and_writing_give_the_same_bytes(data: bytes) -> None:
    source = decode_source(data, "a.py")
    assert "\r" not in source.text
    assert not source.text.startswith("\ufeff")
    assert source.encode() == data


def test_mixed_newlines_become_those_of_the_first_line() -> None:
    assert decode_source(b"a\r\nb\nc\r\n", "a.py").encode() == b"a\r\nb\r\nc\r\n"


def test_a_cookie_on_the_third_line_or_behind_code_is_only_a_comment() -> None:
    assert decode_source(b"\n\n# coding: latin-1\n", "a.py").encoding == "utf-8"
    assert decode_source(b"x = 1\n# coding: latin-1\n", "a.py").encoding == "utf-8"
    assert decode_source(b"\n# coding: latin-1\n", "a.py").encoding == "iso8859-1"


@pytest.mark.parametrize(
    ("data", "line", "column", "part"),
    [
        (b"x = 1\r\ny = '\xe9'\r\n", 2, 6, "not valid UTF-8: byte 0xe9"),
        ("y = 'é'".encode() + b"\xff", 1, 8, "byte 0xff"),
        (b"# coding: klingon\n", 1, 11, "unknown encoding 'klingon'"),
        (b"# coding: hex\n", 1, 11, "unknown encoding 'hex'"),
        (b"\xef\xbb\xbf# coding: latin-1\n", 1, 11, "byte order mark"),
        (b"x = 1\ny\0 = 2\n", 2, 2, "null byte"),
        ("x = 1\n".encode("utf-16"), 1, 1, "not valid UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    data: bytes, line: int, column: int, part: str
) -> None:
    with pytest.raises(SourceError) as caught:
        decode_source(data, "a.py")
    error = caught.value
    assert (error.path, error.line, error.column) == ("a.py", line, column)
    assert part in error.message
    assert str(error) == f"a.py:{line}:{column}: {error.message}"


def test_a_character_that_the_encoding_lacks_is_told() -> None:
    source = decode_source(b"# coding: ascii\nx = 1\n", "a.py")
    with pytest.raises(SourceError, match=r"a\.py:2:6: .*ascii"):
        source.with_text("# coding: ascii\nx = 'é'\n").encode()


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_source(tmp_path / "a.py")
    with pytest.raises(SourceError, match="it is a folder"):
        read_source(tmp_path)


def test_writing_keeps_links_and_permissions(tmp_path: Path) -> None:
    real, link = tmp_path / "real.py", tmp_path / "link.py"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_takes_the_permissions_of_its_pattern(tmp_path: Path) -> None:
    pattern = tmp_path / "train.py"
    pattern.write_text("")
    pattern.chmod(0o755)
    write_bytes(tmp_path / "out.py", b"x", like=pattern)
    assert stat.S_IMODE((tmp_path / "out.py").stat().st_mode) == 0o755


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.py"
    target.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SourceError, match="no space left on device"):
        write_bytes(target, b"new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.py"]


@pytest.mark.parametrize(
    ("name", "part"), [("none/out.py", "its folder does not exist"), (".", "it is a folder")]
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, part: str) -> None:
    with pytest.raises(SourceError, match=part):
        write_bytes(tmp_path / name, b"x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_devices_are_written_to_and_not_replaced() -> None:
    write_bytes("/dev/null", b"x")
    assert not stat.S_ISREG(os.stat("/dev/null").st_mode)
    with pytest.raises(SourceError, match="no space left on device"):
        write_bytes("/dev/full", b"x")
