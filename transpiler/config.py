"""Configuration: ``[tool.transpile]`` in the nearest pyproject.toml. An unknown key is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transpiler.source import SourceError, decode_source, read_bytes

FILE_NAME = "pyproject.toml"
FIDELITIES = ("fluent", "exact")


class ConfigError(SourceError):
    """A configuration file is wrong; says where and why."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a translation can be told."""

    fidelity: Literal["fluent", "exact"] = "fluent"
    """The stock class where its deviation is small and told, or whatever it takes to be equal."""

    rules: tuple[str, ...] = ()
    """Rule files of the user's own, as paths."""

    line_length: int = 88
    """The line length that the output is formatted to."""

    exclude: tuple[str, ...] = ()
    """Patterns of files and folders to leave out when a whole tree is translated."""


def find_config(start: str | Path) -> Path | None:
    """The nearest pyproject.toml that concerns us, from a file's or folder's place upwards."""
    place = Path(start).absolute()
    for folder in (place, *place.parents):
        candidate = folder / FILE_NAME
        if candidate.is_file():
            return candidate
    return None


def load_config(path: str | Path) -> Config:
    """Read the configuration from a TOML file."""
    data = read_bytes(path)
    if b"transpile" not in data:  # spares most runs the import of the parser
        return Config()
    text = decode_source(data, str(path)).text
    table = _parse(text, str(path)).get("tool", {}).get("transpile", {})
    return Config(**_Reader(text, Path(path)).read_table(table))


def _parse(text: str, path: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        if match := re.search(r"\s*\(at line (\d+), column (\d+)\)$", message):
            place = int(match[1]), int(match[2])
            raise ConfigError(path, *place, f"not valid TOML: {message[: match.start()]}") from None
        raise ConfigError(path, text.count("\n") + 1, 1, f"not valid TOML: {message}") from None


class _Reader:
    """Checks the table's entries one by one, and knows where each stands."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path

    def read_table(self, table: Any) -> dict[str, Any]:
        if not isinstance(table, dict):
            raise self.fail("transpile", "tool.transpile has to be a table")
        return {key.replace("-", "_"): self.read_entry(key, value) for key, value in table.items()}

    def read_entry(self, key: str, value: Any) -> Any:
        match key:
            case "fidelity":
                if value in FIDELITIES:
                    return value
                raise self.fail(key, f'fidelity has to be "fluent" or "exact", not {value!r}')
            case "line-length":
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    return value
                raise self.fail(key, f"line-length has to be a positive number, not {value!r}")
            case "exclude":
                return self.read_strings(key, value)
            case "rules":
                return tuple(self.find_rules(name) for name in self.read_strings(key, value))
        raise self.fail(key, self.describe_unknown(key))

    def read_strings(self, key: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise self.fail(key, f"{key} has to be a list of strings, not {value!r}")

    def find_rules(self, name: str) -> str:
        path = self.path.parent / name
        if not path.is_file():
            raise self.fail("rules", f"no such rule file: {name}")
        return str(path)

    def describe_unknown(self, key: str) -> str:
        known = ("exclude", "fidelity", "line-length", "rules")
        if key.replace("_", "-") in known:
            return f"unknown key {key!r}; it is spelled {key.replace('_', '-')!r}"
        return f"unknown key {key!r}; known are {', '.join(known)}"

    def fail(self, key: str, message: str) -> ConfigError:
        line, column = self.find_place(key)
        return ConfigError(str(self.path), line, column, message)

    def find_place(self, key: str) -> tuple[int, int]:
        """Where the key is written, or where the table starts."""
        place, inside = (1, 1), False
        written = re.compile(
            rf"""\s*(?:["']?[\w-]+["']?\s*\.\s*)*["']?({re.escape(key)})["']?\s*="""
        )
        for number, line in enumerate(self.text.split("\n"), 1):
            if header := re.match(r"\s*\[+\s*([^\]]*?)\s*\]", line):
                name = re.sub(r"[\s\"']", "", header[1])
                if name in (f"tool.{key}", f"tool.transpile.{key}"):
                    return number, line.index(key) + 1
                inside = name in ("tool.transpile", "tool")
                place = (number, 1) if inside else place
            elif (inside or "transpile" in line) and (match := written.match(line)):
                return number, match.start(1) + 1
        return place
