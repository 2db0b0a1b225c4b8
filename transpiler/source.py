"""Source files: read whatever their encoding and newlines, written back the same and whole."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import sys
from pathlib import Path
from typing import NamedTuple

STDIN = "<stdin>"
"""The path under which standard input is reported."""

_COOKIE = rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)"


class SourceError(Exception):
    """A file cannot be read, parsed or written; says where and why."""

    def __init__(self, path: str, line: int, column: int, message: str) -> None:
        super().__init__(path, line, column, message)
        self.path = path
        self.line = line
        self.column = column
        self.message = message

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{place}: {self.message}"


class Source(NamedTuple):
    """A file's text with newlines as ``\\n``, and what is needed to write it back as it was."""

    path: str
    text: str
    encoding: str = "utf-8"
    bom: bool = False
    newline: str = "\n"

    def with_text(self, text: str) -> Source:
        """The same file with other text."""
        return self._replace(text=text)

    def encode(self) -> bytes:
        """The bytes of the file: its own encoding, byte order mark and newlines."""
        text = self.text if self.newline == "\n" else self.text.replace("\n", self.newline)
        try:
            data = text.encode(self.encoding)
        except UnicodeEncodeError as error:
            line, column = _place_in(text[: error.start])
            character = text[error.start]
            raise SourceError(
                self.path,
                line,
                column,
                f"the translation holds {character!r}, which the file's encoding"
                f" {self.encoding} cannot write; save the file as UTF-8 first",
            ) from None
        return codecs.BOM_UTF8 + data if self.bom else data


def read_source(path: str | Path) -> Source:
    """Read a Python file."""
    return decode_source(read_bytes(path), str(path))


def read_bytes(path: str | Path) -> bytes:
    """Read a file, or say in a sentence why that is not possible."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SourceError(str(path), 0, 0, _describe_failure("read", error)) from None


def decode_source(data: bytes, path: str) -> Source:
    """Decode the bytes of a Python file as Python itself does (PEP 263)."""
    bom = data.startswith(codecs.BOM_UTF8)
    body = data[len(codecs.BOM_UTF8) :] if bom else data
    encoding = _find_encoding(body, bom, path)
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line, column = _place_in(body[: error.start].decode(encoding, "replace"))
        raise SourceError(
            path,
            line,
            column,
            f"not valid {encoding.upper()}: byte 0x{body[error.start]:02x} cannot be read;"
            " save the file as UTF-8, or name its encoding in the first line"
            " (# -*- coding: ... -*-)",
        ) from None
    _reject_nul(text, path)
    newline = _find_newline(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return Source(path, text, encoding, bom, newline)


def _find_encoding(body: bytes, bom: bool, path: str) -> str:
    """The encoding that a comment in the first two lines names, UTF-8 without one."""
    lines = body.split(b"\n", 2)[:2]
    for number, line in enumerate(lines, 1):
        if b"coding" in line and (match := re.match(_COOKIE, line)):
            return _check_encoding(match[1].decode("ascii"), match.start(1), number, bom, path)
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
    return "utf-8"


def _check_encoding(name: str, start: int, line: int, bom: bool, path: str) -> str:
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)  # refuses what is no text encoding, such as "hex"
    except LookupError:
        raise SourceError(path, line, start + 1, f"unknown encoding {name!r}") from None
    if bom and codec.name != "utf-8":
        message = f"the file starts with a UTF-8 byte order mark but names the encoding {name!r}"
        raise SourceError(path, line, start + 1, message)
    return codec.name


def _reject_nul(text: str, path: str) -> None:
    if (position := text.find("\0")) >= 0:
        line, column = _place_in(text[:position])
        raise SourceError(path, line, column, "not Python source: it contains a null byte")


def _find_newline(text: str) -> str:
    """The newline that the first line ends with, as Black decides it."""
    position = text.find("\n")
    if position < 0:
        return "\r" if "\r" in text else "\n"
    if position and text[position - 1] == "\r":
        return "\r\n"
    return "\r" if "\r" in text[:position] else "\n"


def _place_in(before: str) -> tuple[int, int]:
    """Line and column, both from 1, of the character that follows this text."""
    lines = io.StringIO(before, newline=None).read().split("\n")
    return len(lines), len(lines[-1]) + 1


def write_bytes(path: str | Path, data: bytes, *, like: str | Path | None = None) -> None:
    """Write a file whole or not at all; a new one gets the permissions of `like`.

    The bytes go to a new file in the same folder, which then takes the name: a reader, a crash or
    a full disk never meets half of it. Links are followed, so that a link stays a link.
    """
    target = os.path.realpath(path)
    try:
        current = _stat(target)
        if current is not None and not stat.S_ISREG(current.st_mode):
            with open(path, "wb") as device:  # a pipe or /dev/null has no name to take
                device.write(data)
            return
        pattern = current or (_stat(like) if like is not None else None)
        _replace_file(target, data, stat.S_IMODE(pattern.st_mode) if pattern else None)
    except OSError as error:
        raise SourceError(str(path), 0, 0, _describe_failure("write", error)) from None


def make_folder(path: str) -> None:
    """Make a folder and those above it."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise SourceError(path, 0, 0, _describe_failure("write", error)) from None


def print_bytes(data: bytes) -> None:
    """Write to standard output, all of it."""
    if sys.stdout is None:
        raise SourceError("<stdout>", 0, 0, "cannot be written: it is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough
    except OSError as error:
        raise SourceError("<stdout>", 0, 0, _describe_failure("write", error)) from None


def _stat(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _replace_file(target: str, data: bytes, mode: int | None) -> None:
    folder, name = os.path.split(target)
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise PermissionError(13, os.strerror(13), target)  # a rename would ignore this
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_BINARY, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


_O_BINARY: int = getattr(os, "O_BINARY", 0)


def _describe_failure(verb: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file" if verb == "read" else "cannot be written: its folder does not exist"
    if isinstance(error, IsADirectoryError):
        return f"cannot be {'read' if verb == 'read' else 'written'}: it is a folder"
    reason = (error.strerror or str(error)).lower()
    return f"cannot be {'read' if verb == 'read' else 'written'}: {reason}"
