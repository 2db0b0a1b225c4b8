"""torch.distributions: small emitted classes with the same methods."""

from __future__ import annotations

from typing import Any

from transpiler.infer.arrays import broadcast
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Const, Instance, Shape, Tensor, Value, options
from transpiler.rule import Inference, Proof, Unfit, infers, infers_property, rewrites
from transpiler.rules.operands import integers
from transpiler.rules.tensor_arguments import drop, fill
from transpiler.site import Site

D = "torch.distributions"
KNOWN = ("Normal", "Categorical", "Bernoulli", "Uniform", "MultivariateNormal", "Independent",
         "Beta")  # fmt: skip
METHODS = ("sample", "rsample", "log_prob", "entropy", "cdf")
ATTRIBUTES = (
    "mean",
    "stddev",
    "variance",
    "loc",
    "scale",
    "probs",
    "logits",
    "low",
    "high",
    "covariance_matrix",
    "scale_tril",
    "base_dist",
    "concentration0",
    "concentration1",
)
_PARAMETERS = ("loc", "scale", "probs", "logits", "low", "high", "concentration0", "concentration1")


@rewrites(
    *(f"{D}.{name}" for name in KNOWN), to="tf",
    proof=Proof(
        inputs=[(3, 4), "positive(3, 4)", (3, 4), "int(3) < 4"],
        cases=["torch.distributions.Normal(x, y).log_prob(z)",
               "torch.distributions.Normal(x, y).entropy()",
               "torch.distributions.Normal(0.0, 1.0).log_prob(z)",
               "torch.distributions.Categorical(logits=x).log_prob(w)",
               "torch.distributions.Categorical(y).log_prob(w)",
               "torch.distributions.Categorical(probs=y).entropy()",
               "torch.distributions.Categorical(logits=x).probs",
               "torch.distributions.Bernoulli(logits=x).entropy()",
               "torch.distributions.Bernoulli(torch.sigmoid(x)).log_prob((z > 0).float())",
               "torch.distributions.Uniform(x, x + y).entropy()",
               "torch.distributions.MultivariateNormal(x, torch.diag_embed(y)).log_prob(z)",
               "torch.distributions.MultivariateNormal(x, torch.diag(y[0])).log_prob(z[0])",
               "torch.distributions.MultivariateNormal(x, scale_tril=torch.diag_embed(y))"
               ".entropy()",
               "torch.distributions.Independent(torch.distributions.Normal(x, y), 1).log_prob(z)",
               "torch.distributions.Independent(torch.distributions.Normal(x, y), 1).entropy()",
               "torch.distributions.Beta(y + 1, y).log_prob(torch.sigmoid(z))",
               "torch.distributions.Beta(y + 1, y + 2).entropy()",
               "torch.distributions.kl_divergence(torch.distributions.Normal(x, y),"
               " torch.distributions.Normal(z, y + 1))"],
        directions=("tf",),
    ),
)  # fmt: skip
def distribution(site: Site) -> Any:
    """The class of the same name."""
    name = site.name.rpartition(".")[2]
    if not site.is_call:
        return site.emit(name)
    keywords = dict(site.keywords)
    drop(site, keywords.pop("validate_args", None))
    return _call(site.emit(name), site.positional, keywords)


def _call(func: Any, positional: list[Any], keywords: dict[str, Any]) -> Any:
    from transpiler.template import arguments

    return fill("f()", f=func).with_changes(args=arguments(positional, keywords))


@rewrites(*(f"{D}.{n}.{m}" for n in KNOWN for m in (*METHODS, *ATTRIBUTES)),
          *(f"{D}.Distribution.{m}" for m in METHODS), to="tf")  # fmt: skip
def member(site: Site) -> Any:
    """The emitted classes have these methods, by the same names."""
    return site.keep()


@rewrites(f"{D}.kl_divergence", f"{D}.kl.kl_divergence", to="tf")
def kl_divergence(site: Site) -> Any:
    kinds = {n for node in site.positional for n in _kinds(site, node)}
    for name, unit in (("Normal", "kl_of_normals"), ("Categorical", "kl_of_categoricals")):
        if kinds == {f"{D}.{name}"} and len(site.positional) == 2:
            p, q = site.positional
            return fill("unit(p, q)", unit=site.emit(unit), p=p, q=q)
    raise Unfit("kl_divergence of these distributions has no equal here", "write its formula")


def _kinds(site: Site, node: Any) -> set[str]:
    return {
        o.class_names[0] if isinstance(o, Instance) and o.class_names else "?"
        for o in options(site.fact(node))
    }


@rewrites(f"{D}.Gamma", f"{D}.Laplace",
          f"{D}.Exponential", f"{D}.RelaxedOneHotCategorical", f"{D}.OneHotCategorical",
          f"{D}.Dirichlet", f"{D}.Multinomial", f"{D}.Poisson", f"{D}.TransformedDistribution",
          to="tf")  # fmt: skip
def unknown_distribution(site: Site) -> Any:
    raise Unfit(f"{site.short} has no equal in TensorFlow itself", "use tensorflow_probability")


# ---- facts ------------------------------------------------------------------------------------


def _parameters(value: Value | None) -> tuple[Shape, str | None]:
    """The shape and dtype of a distribution's parameters."""
    shape: Shape = ()
    dtype: str | None = "float32"
    if not isinstance(value, Instance):
        return None, None
    if value.class_names and value.class_names[0].endswith("Independent"):
        return _parameters(value.arguments.get("base_distribution"))
    for name, argument in value.arguments.items():
        if name in _PARAMETERS and isinstance(argument, Tensor):
            shape, dtype = broadcast(shape, argument.shape), argument.dtype
    if value.class_names and value.class_names[0].endswith("Categorical") and shape is not None:
        shape = shape[:-1]
    return shape, dtype


@infers(*(f"{D}.{n}.{m}" for n in KNOWN for m in METHODS),
        *(f"{D}.Distribution.{m}" for m in METHODS))  # fmt: skip
def result(call: Invocation) -> Value:
    shape, dtype = _parameters(call.receiver)
    axes = _event_axes(call.receiver)
    method = call.name.rpartition(".")[2]
    categorical = isinstance(call.receiver, Instance) and call.receiver.class_names[0].endswith(
        "Categorical"
    )
    if method in ("sample", "rsample"):
        extra = call.arg("sample_shape", at=0)
        more = integers(extra) if extra is not None else ()
        full = None if shape is None or more is None else (*more, *shape)
        return Tensor(full, "int64" if categorical else dtype, "torch")
    if method == "log_prob":
        value = call.arg("value", at=0)
        if isinstance(value, Tensor):
            shape = broadcast(shape, value.shape)
    if shape is not None and axes:
        shape = shape[:-axes]
    return Tensor(shape if axes is not None else None, dtype, "torch")


def _event_axes(value: Value | None) -> int | None:
    """How many axes one event has; None where that is not known."""
    name = value.class_names[0].rpartition(".")[2] if isinstance(value, Instance) else ""
    if name == "Independent":
        assert isinstance(value, Instance)
        given = value.arguments.get("reinterpreted_batch_ndims")
        return given.value if isinstance(given, Const) else None
    return 1 if name == "MultivariateNormal" else 0


def _attribute(name: str) -> Inference:
    names = tuple(f"{D}.{n}.{name}" for n in KNOWN)

    def read(value: Value) -> Value:
        if isinstance(value, Instance):
            found = value.arguments.get(name)
            if isinstance(found, Tensor):
                return found.but(variable=False)
        shape, dtype = _parameters(value)
        return Tensor(None if name in ("probs", "logits") else shape, dtype, "torch")

    return infers_property(*names)(read)


PROPERTIES = [_attribute(name) for name in ATTRIBUTES]
