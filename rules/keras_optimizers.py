"""Keras' optimizers and learning-rate schedules as PyTorch's."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Instance, Symbol, Value
from transpiler.rule import Unfit
from transpiler.rules.keras_losses import one_of
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code
from transpiler.template import OMIT, as_node, call, fill

NAMES = {
    "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad",
    "adadelta": "Adadelta", "adamax": "Adamax", "nadam": "Nadam", "ftrl": "Ftrl", "lion": "Lion",
}  # fmt: skip
SCHEDULES = {
    "ExponentialDecay": "exponential_decay",
    "InverseTimeDecay": "inverse_time_decay",
    "PiecewiseConstantDecay": "piecewise_constant_decay",
    "PolynomialDecay": "polynomial_decay",
    "CosineDecay": "cosine_decay",
    "CosineDecayRestarts": "cosine_decay_restarts",
}
TORCH = {
    f"to_tf.Torch{name}": f"torch.optim.{name}"
    for name in "SGD Adam AdamW RMSprop Adagrad Adadelta Adamax NAdam RAdam Rprop".split()
}
"""Emitted optimizers that update as PyTorch's, with their arguments but for the rate's name."""
FTRL = {
    "l1_regularization_strength": "l1",
    "l2_regularization_strength": "l2",
    "l2_shrinkage_regularization_strength": "l2_shrinkage",
    "learning_rate_power": "learning_rate_power",
    "beta": "beta",
}
_IGNORED = {"name", "loss_scale_factor", "jit_compile", "ema_momentum", "ema_overwrite_frequency"}


class Recipe:
    """How an optimizer is made once its parameters are known."""

    def __init__(self, context: Context, value: Value, node: cst.CSTNode) -> None:
        self.context = context
        self.node = node
        self.args: dict[str, Any] = {}
        self.schedule: cst.BaseExpression | None = None
        self.origin: cst.Call | None = None
        self.counted = False
        """Whether the program reads how many steps it has made."""
        self.kind = self._read(value)

    def _read(self, value: Value) -> str:
        value = one_of(value)
        if isinstance(value, Const) and str(value.value).lower() in NAMES:
            return NAMES[str(value.value).lower()]
        name = value.name if isinstance(value, Symbol) else ""
        if isinstance(value, Instance) and isinstance(value.origin, cst.Call):
            self.origin = value.origin
            name = value.class_names[0]
            if not code(value.origin.func).endswith("optimizers.get"):
                self.args = dict(Site(self.context, value.origin, name).args)
        if name in TORCH:
            return name
        kind = name.rpartition(".")[2]
        if not name.startswith("keras.optimizers.") or kind not in NAMES.values():
            raise Unfit("the optimizer is not one of Keras' that are known before the program runs")
        return kind

    def const(self, name: str, usual: Any = None) -> Any:
        node = self.args.get(name)
        if node is None:
            return usual
        value = node
        if isinstance(node, cst.CSTNode):
            place: Any = self.node
            value = constant_value(Site(self.context, place, "keras.Model").fact(node))
        return None if value is missing else value

    def rate(self) -> Any:
        """The learning rate; 1.0 beside a schedule."""
        node = self.args.get("learning_rate", self.args.get("lr", OMIT))
        fact = self.context.fact(node) if isinstance(node, cst.CSTNode) else None
        if isinstance(fact, Instance) and isinstance(fact.cls, Class):
            return self.own_schedule(node)
        if isinstance(fact, Instance):
            kind = fact.class_names[0].rpartition(".")[2] if fact.class_names else ""
            if kind not in SCHEDULES or not isinstance(fact.origin, cst.Call):
                raise Unfit("this learning-rate schedule is not translated")
            args = {
                k: v
                for k, v in Site(self.context, fact.origin, fact.class_names[0]).args.items()
                if k != "name"
            }
            unit = self.context.emit(SCHEDULES[kind])
            self.schedule = call(unit, **args)
            self.context.claim(fact.origin)
            if node is not fact.origin:  # a schedule under a name of its own keeps it
                self.context.edits.replace(fact.origin, self.schedule)
                self.schedule = node
            return 1.0
        decay = self.args.get("decay")
        if decay is not None and self.const("decay") not in (None, 0, 0.0):
            self.schedule = fill("lambda step: 1 / (1 + decay * step)", decay=decay)
        return node

    def own_schedule(self, node: cst.BaseExpression) -> float:
        """A schedule class of the program's own, which takes and gives tensors."""
        text = "float(schedule(torch.as_tensor(step)))"
        if isinstance(node, cst.Call):
            self.schedule = fill(f"lambda step, schedule=new: {text}", new=node)
        else:
            self.schedule = fill(f"lambda step: {text}", schedule=node)
        return 1.0

    def write(self, params: cst.BaseExpression) -> cst.BaseExpression:
        """The PyTorch optimizer. Raises Unfit."""
        for name in ("use_ema", "gradient_accumulation_steps"):
            if self.const(name) not in (None, False, 0.0):
                raise Unfit(f"`{name}` of the optimizer has no equal here")
        rate = self.rate()
        if self.kind in TORCH:
            options = {n: v for n, v in self.args.items() if n != "learning_rate"}
            return call(TORCH[self.kind], params, lr=rate, **options)
        known = {"learning_rate", "lr", "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay",
                 "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "momentum", "nesterov",
                 "rho", "centered", "initial_accumulator_value", "learning_rate_power", "beta",
                 "l1_regularization_strength", "l2_regularization_strength",
                 "l2_shrinkage_regularization_strength",
                 "gradient_accumulation_steps", "decay"} | _IGNORED  # fmt: skip
        for name in self.args:
            if name not in known:
                raise Unfit(f"`{name}` of the optimizer has no equal here")
        clipped = any(self.const(n, None) is not None or n in self.args
                      for n in ("clipnorm", "clipvalue", "global_clipnorm"))  # fmt: skip
        if self.counted:
            return self.exact(params, rate)
        if self.kind == "SGD" and self.schedule is None and not clipped and (
            not self.context.exact or "momentum" not in self.args
        ) and "weight_decay" not in self.args:  # fmt: skip
            return self.stock_sgd(params, rate)
        if self.context.exact or clipped or self.kind not in ("Adam", "AdamW", "RMSprop"):
            return self.exact(params, rate)
        return self.stock(params, rate)

    def given(self, name: str) -> Any:
        node = self.args.get(name, OMIT)
        if node is OMIT or is_none_node(node):
            return OMIT
        plain = isinstance(node, (cst.Name, cst.Float, cst.Integer))
        return OMIT if plain and self.const(name) in (False, 0, 0.0) else node

    def epsilon(self) -> Any:
        node = self.args.get("epsilon", OMIT)
        return OMIT if node is OMIT or is_none_node(node) else node

    def betas(self) -> Any:
        if "beta_1" not in self.args and "beta_2" not in self.args:
            return OMIT
        second = 0.99 if self.kind == "Lion" else 0.999
        pair = [self.args.get("beta_1", 0.9), self.args.get("beta_2", second)]
        return cst.Tuple([cst.Element(as_node(p)) for p in pair])

    def stock_sgd(self, params: Any, rate: Any) -> cst.BaseExpression:
        return call("torch.optim.SGD", params, lr=0.01 if rate is OMIT else rate,
                    momentum=self.given("momentum"), nesterov=self.given("nesterov"))  # fmt: skip

    def stock(self, params: Any, rate: Any) -> cst.BaseExpression:
        """The class of the same name, with a word on where it deviates."""
        eps = self.epsilon()
        eps = 1e-7 if eps is OMIT else eps
        rate = 0.001 if rate is OMIT else rate
        if self.kind == "RMSprop":
            self.context.caution(
                self.node, "keras.optimizers.RMSprop",
                "PyTorch adds epsilon outside of the root and keeps the learning rate out of the"
                " momentum: small gradients move otherwise", "--fidelity exact writes KerasRMSprop",
            )  # fmt: skip
            return call(
                "torch.optim.RMSprop",
                params,
                lr=rate,
                alpha=self.args.get("rho", 0.9),
                eps=eps,
                momentum=self.given("momentum"),
                centered=self.given("centered"),
            )
        self.context.caution(
            self.node, f"keras.optimizers.{self.kind}",
            "PyTorch's Adam adds epsilon after the bias correction, Keras' before: about 1e-6 for"
            " gradients near 1, more for tiny ones", "--fidelity exact writes KerasAdam",
        )  # fmt: skip
        decay = self.given("weight_decay")
        if self.kind == "AdamW" and "weight_decay" not in self.args:
            decay = 0.004
        kind = "AdamW" if decay is not OMIT else "Adam"
        return call(f"torch.optim.{kind}", params, lr=rate, betas=self.betas(), eps=eps,
                    amsgrad=self.given("amsgrad"), weight_decay=decay)  # fmt: skip

    def exact(self, params: Any, rate: Any) -> cst.BaseExpression:
        """The emitted class that updates as Keras does."""
        unit = self.context.emit("KerasAdam" if self.kind == "AdamW" else f"Keras{self.kind}")
        options: dict[str, Any] = {"lr": rate}
        if self.kind in ("Adam", "AdamW", "Adamax", "Nadam", "Lion"):
            options["betas"] = self.betas()
        options["eps"] = self.epsilon()
        for name in ("amsgrad", "momentum", "nesterov", "rho", "centered",
                     "initial_accumulator_value", "clipnorm", "clipvalue", "global_clipnorm",
                     "weight_decay"):  # fmt: skip
            options[name] = self.given(name)
        for name, short in FTRL.items():
            options[short] = self.given(name)
        if self.kind == "AdamW" and "weight_decay" not in self.args:
            options["weight_decay"] = 0.004
        return call(unit, params, **options)


def is_none_node(node: Any) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"
