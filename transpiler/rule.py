"""What a rule author imports: Rule, Proof, @rewrites, @infers and friends, Unfit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transpiler.site import Site

Direction = Literal["tf", "torch"]
Rewrite = Callable[["Site"], Any]
Layout = Literal["spatial", "elementwise", "loss", "axis", "order", None]
"""How a call treats the order of axes: `spatial` works channels-last in the tf program,
`elementwise` keeps whatever order comes in, `loss` takes scores (and targets of their rank) with
the classes last and gives no order of its own, `axis` renumbers its axis arguments, `order` (None)
reads positions and needs the torch order."""


class Unfit(Exception):
    """The rule does not fit this call; the text says why, for the user."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, eq=False)
class Proof:
    """Numeric proof of a rule, run in both directions in float64, outputs and gradients.

    inputs: one entry per input, named x, y, z, w in order: a shape for normal random numbers,
        or a string such as "int(5, 3) < 7", "positive(2, 3)", "unit(2, 3)" (in 0..1), "bool(2, 3)".
    args: argument lists for the rule's torch class, called on the inputs.
    cases: whole torch expressions over x, y, z, w.
    keras_cases: whole Keras/TF expressions for the other direction (without them the translation
        of each torch case is translated back).
    tolerance: absolute bound; one above 1e-9 needs a reason.
    """

    inputs: Sequence[tuple[int, ...] | str] = ()
    args: Sequence[str] = ()
    cases: Sequence[str] = ()
    keras_cases: Sequence[str] = ()
    tolerance: float = 1e-9
    reason: str = ""
    gradients: bool = True
    training: bool = False
    directions: Sequence[Direction] = ("tf", "torch")


@dataclass(frozen=True, eq=False)
class Rule:
    """One concept, spelled once in each framework, with shared holes.

    torch, keras: calls in real Python by canonical names. Bare names are holes; `1 - decay` and the
        like are solved for their hole. Of several spellings all are read and the first is written.
        A method is spelled as a function of its receiver: `torch.Tensor.sum(x, dim=axis)`.
    exact: the Keras spelling under exact fidelity, where it differs (may name emitted units).
    exact_torch: the torch spelling under exact fidelity.
    caution: what the fluent spelling changes, reported at each use.
    when: a predicate on the site; the rule is passed over where it is false.
    infer: holes that only one side states, computed from facts.
    weights: how the parameters map, by torch name; see transpiler.weights.
    """

    name: str
    torch: str | tuple[str, ...]
    keras: str | tuple[str, ...]
    exact: str | None = None
    exact_torch: str | None = None
    caution: str = ""
    when: Callable[[Site], bool] | None = None
    infer: Mapping[str, Callable[[Site], Any]] = field(default_factory=dict)
    weights: Any = None
    layout: Layout = None
    proof: Proof | None = None
    to: Direction | None = None
    """Only this direction, where the other has a rule of its own."""


@dataclass(frozen=True, eq=False)
class Rewriter:
    """A registered @rewrites function."""

    names: tuple[str, ...]
    to: Direction
    function: Rewrite
    layout: Layout
    weights: Any
    proof: Proof | None
    result_layout: Any = None


@dataclass(frozen=True, eq=False)
class Inference:
    """A registered @infers or @infers_property function."""

    names: tuple[str, ...]
    function: Callable[..., Any]
    is_property: bool


def rewrites(
    *names: str,
    to: Direction,
    layout: Layout = None,
    weights: Any = None,
    proof: Proof | None = None,
) -> Callable[[Rewrite], Rewriter]:
    """Register a function that writes calls (or plain uses) of `names` in the other framework.

    The function takes a Site and returns the new expression, `site.keep()` to leave the node and
    translate inside it, or a list of statements that replace the node's statement; it raises Unfit
    where it does not fit, and the next rule for the name is tried.
    """

    def register(function: Rewrite) -> Rewriter:
        return Rewriter(names, to, function, layout, weights, proof)

    return register


def infers(*names: str) -> Callable[[Callable[..., Any]], Inference]:
    """Register what a call of `names` gives back: a function of transpiler.infer.Invocation."""

    def register(function: Callable[..., Any]) -> Inference:
        return Inference(names, function, False)

    return register


def infers_property(*names: str) -> Callable[[Callable[..., Any]], Inference]:
    """Register an attribute's value as a function of the receiver's."""

    def register(function: Callable[..., Any]) -> Inference:
        return Inference(names, function, True)

    return register
