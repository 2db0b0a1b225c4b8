"""What is known of Gymnasium's environments: the sizes that networks are made for."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Number, Sequence, Symbol, Tensor, Value
from transpiler.rule import infers


@infers("gym.make", "gymnasium.make")
def environment(call: Invocation) -> Value:
    """Shapes are tuples of Python's integers; a discrete space counts in numpy's."""
    space = Instance(Symbol("gymnasium.spaces.Space"), {}, {}, call.node)
    space.attributes["shape"] = Sequence("tuple", None, Number("int"))
    space.attributes["n"] = Tensor((), "int64", "numpy")
    made = Instance(Symbol("gymnasium.Env"), {}, {}, call.node)
    names = ("action_space", "observation_space", "single_action_space", "single_observation_space")
    made.attributes.update(dict.fromkeys(names, space))
    made.attributes["unwrapped"] = made
    return made
