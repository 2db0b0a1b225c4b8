"""Facts of Gymnasium: what environments give, so that the networks' inputs are known."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    Mapping,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
)
from transpiler.rule import infers, infers_property

ENV = "gymnasium.Env"
VECTOR = "gymnasium.vector.VectorEnv"
SIZES = {
    "CartPole": 4, "Pendulum": 3, "MountainCar": 2, "MountainCarContinuous": 2, "Acrobot": 6,
    "LunarLander": 8, "LunarLanderContinuous": 8, "BipedalWalker": 24,
}  # fmt: skip
"""How many numbers an observation of the usual environments has; others may give float64."""
NO_VECTORS = (
    "FrozenLake", "Taxi", "CliffWalking", "Blackjack", "CarRacing", "ALE/", "Pong", "Breakout",
    "NoFrameskip", "-ram",
)  # fmt: skip
"""Parts of the names of environments whose observations are numbers or pictures."""


@infers("gymnasium.make", "gym.make")
def make(call: Invocation) -> Value:
    """An environment; those of the former gym answer `reset` and `step` in more than one way."""
    name = call.positional[0] if call.positional else call.keywords.get("id", UNKNOWN)
    kind = ENV if call.name == "gymnasium.make" else "gym.Env"
    made = call.interpreter.allocate(Symbol(kind), call.node, {"id": name})
    made.attributes["action_space"] = _space(call)
    made.attributes["unwrapped"] = made
    if kind != ENV:
        made.attributes["observation_space"] = _space(call)
    return made


def _space(call: Invocation) -> Instance:
    """Shapes are tuples of Python's integers; a discrete space counts in numpy's."""
    space = Instance(Symbol("gymnasium.spaces.Space"), {}, {}, call.node)
    space.attributes["shape"] = Sequence("tuple", None, Number("int"))
    space.attributes["n"] = Tensor((), "int64", "numpy")
    return space


@infers("gymnasium.make_vec", "gymnasium.vector.make", "gymnasium.vector.SyncVectorEnv",
        "gymnasium.vector.AsyncVectorEnv")  # fmt: skip
def make_vector(call: Invocation) -> Value:
    made = call.interpreter.allocate(Symbol(VECTOR), call.node, {})
    names = ("action_space", "observation_space", "single_action_space", "single_observation_space")
    made.attributes.update({name: _space(call) for name in names})
    return made


@infers(f"{ENV}.reset")
def reset(call: Invocation) -> Value:
    return Sequence("tuple", (observation(call.receiver), Mapping({}, UNKNOWN)))


@infers(f"{ENV}.step")
def step(call: Invocation) -> Value:
    flags = (Number("bool"), Number("bool"))
    seen = observation(call.receiver)
    return Sequence("tuple", (seen, Number("float"), *flags, Mapping({}, UNKNOWN)))


def observation(env: Value | None) -> Value:
    """One observation: a vector, but for environments that are known to show something else."""
    name = env.arguments.get("id") if isinstance(env, Instance) else None
    if not isinstance(name, Const):
        return Tensor((None,), None, "numpy")
    text = str(name.value)
    if any(part in text for part in NO_VECTORS):
        return UNKNOWN
    size = SIZES.get(text.partition("-v")[0])
    return Tensor((size,), "float32" if size else None, "numpy")


@infers_property(f"{ENV}.observation_space")
def observation_space(env: Value) -> Value:
    seen = observation(env)
    shape = seen.shape if isinstance(seen, Tensor) else None
    return Instance(Symbol("gymnasium.spaces.Box"), {"shape": shape or ()})


@infers_property("gymnasium.spaces.Box.shape")
def shape_of(space: Value) -> Value:
    sizes = space.arguments.get("shape") if isinstance(space, Instance) else None
    if not sizes:
        return UNKNOWN
    return Sequence("tuple", tuple(Number("int") if s is None else Const(s) for s in sizes))
