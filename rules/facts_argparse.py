"""Facts of argparse: what `args.lr` is, from the arguments that were added."""

from __future__ import annotations

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Class,
    Const,
    Instance,
    ListObject,
    Number,
    Sequence,
    Symbol,
    Value,
    is_none,
    join,
    scalar_type,
)
from transpiler.rule import infers
from transpiler.syntax import code, find

PARSER = "argparse.ArgumentParser"


@infers(PARSER)
def parser(call: Invocation) -> Value:
    return call.interpreter.allocate(Symbol(PARSER), call.node, {})


@infers(f"{PARSER}.add_argument_group", f"{PARSER}.add_mutually_exclusive_group")
def group(call: Invocation) -> Value:
    return call.receiver or UNKNOWN


@infers(f"{PARSER}.add_argument")
def add_argument(call: Invocation) -> Value:
    if isinstance(call.receiver, Instance):
        name = _destination(call)
        if name is not None:
            call.receiver.state.setdefault("options", {})[name] = dict(call.keywords)
    return NONE


def _destination(call: Invocation) -> str | None:
    asked = call.keywords.get("dest")
    if isinstance(asked, Const):
        return str(asked.value)
    flags = [str(p.value) for p in call.positional if isinstance(p, Const)]
    long = next((f for f in flags if f.startswith("--")), flags[0] if flags else None)
    return None if long is None else long.lstrip("-").replace("-", "_")


@infers(f"{PARSER}.set_defaults")
def set_defaults(call: Invocation) -> Value:
    if isinstance(call.receiver, Instance):
        for name, value in call.keywords.items():
            call.receiver.state.setdefault("options", {})[name] = {"default": value}
    return NONE


@infers(f"{PARSER}.parse_args", f"{PARSER}.parse_known_args")
def parse(call: Invocation) -> Value:
    space = call.interpreter.allocate(Symbol("argparse.Namespace"), call.node, {})
    owner = _assigned_to(call)
    if isinstance(call.receiver, Instance):
        for name, option in call.receiver.state.get("options", {}).items():
            space.attributes[name] = _value(option, f"{owner}.{name}" if owner else None)
    if call.name.endswith("known_args"):
        return Sequence("tuple", (space, ListObject(None)))
    return space


@infers("tyro.cli", "simple_parsing.parse")
def parse_dataclass(call: Invocation) -> Value:
    """An instance of the program's class whose fields the command line may change."""
    cls = call.arg("f", "config_class", at=0)
    if not isinstance(cls, Class):
        return UNKNOWN
    space = call.interpreter.allocate(cls, call.node, {})
    owner = _assigned_to(call)
    for line in find(cls.node, cst.AnnAssign):
        if isinstance(line.target, cst.Name) and line.target.value in cls.fields():
            name = line.target.value
            kind = Symbol(f"builtins.{code(line.annotation.annotation)}")
            option: dict[str, Value] = {} if _type(kind, None) is None else {"type": kind}
            default = cls.lookup(name)
            option |= {"required": Const(True)} if default is None else {"default": default}
            space.attributes[name] = _value(option, f"{owner}.{name}" if owner else None)
    return space


def _assigned_to(call: Invocation) -> str | None:
    """The variable that the namespace is kept in."""
    for module in call.interpreter.activations:
        if not isinstance(module, cst.Module):
            continue
        for assign in find(module, cst.Assign):
            target = assign.targets[0].target
            if assign.value is call.node and isinstance(target, cst.Name):
                return target.value
    return None


def _value(option: dict[str, Value], symbol: str | None) -> Value:
    action = option.get("action")
    if isinstance(action, Const) and action.value in ("store_true", "store_false"):
        return Number("bool", symbol)
    default = option.get("default")
    kind = _type(option.get("type"), default)
    if kind is None:
        return UNKNOWN if default is not None else Number("str", symbol)
    value: Value = Number(kind, symbol)
    if "nargs" in option and option["nargs"] != Const("?"):
        return ListObject(None, value)
    required = option.get("required") == Const(True)
    if (default is None and not required) or (default is not None and is_none(default)):
        return join(value, NONE)
    return value


def _type(asked: Value | None, default: Value | None) -> str | None:
    if isinstance(asked, Symbol):
        name = asked.name.removeprefix("builtins.")
        return name if name in ("int", "float", "str", "bool") else None
    if asked is not None:
        return None
    kind = scalar_type(default) if default is not None else "str"
    return "str" if kind == "None" else kind
