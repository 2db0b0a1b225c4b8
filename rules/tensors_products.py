"""Products of matrices and vectors, and linear algebra."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Tensor
from transpiler.planners.operators import product_of_vectors
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import both, in_module, methods
from transpiler.rules.promotion import casts
from transpiler.rules.rebinding import is_inner_link, stripped, write_back
from transpiler.rules.tensor_arguments import OMIT, Arguments, cast, drop_around, fill
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.rules.tf_arguments import on_tensor
from transpiler.site import Site, constant_value


@rewrites(
    *both("matmul", "mm", "bmm"), to="tf",
    proof=Proof(
        inputs=[(3, 4), (4, 5), (2, 3, 4), (4,)],
        cases=["torch.matmul(x, y)", "x.mm(y)", "torch.mm(x, x.t())", "torch.matmul(z, y)",
               "torch.bmm(z, z.transpose(1, 2))", "torch.matmul(z, z.transpose(-2, -1))",
               "torch.matmul(x, w)", "z.bmm(z.permute(0, 2, 1))", "torch.matmul(w, y)",
               "x.matmul(y)", "torch.matmul(x.T, x)", "torch.matmul(w, w)"],
    ),
)  # fmt: skip
def matmul(site: Site) -> Any:
    given = Arguments(site)
    a, b = given.x, given.get("other", "mat2", at=0)
    left, right = site.fact(a), site.fact(b)
    vectors = product_of_vectors(left, right, a, b)
    if vectors is not None:
        return vectors
    flip_a, flip_b = _unturned(site, a), _unturned(site, b)
    first, second = casts("MatrixMultiply", left, right)
    a = flip_a if flip_a is not None else a
    b = flip_b if flip_b is not None else b
    return fill(
        "tf.matmul(a, b, transpose_a=p, transpose_b=q)",
        a=cast(a, first) if first else a,
        b=cast(b, second) if second else b,
        p=OMIT if flip_a is None else True,
        q=OMIT if flip_b is None else True,
    )


def _unturned(site: Site, node: Any) -> Any:
    """The matrix of which an operand is the transpose, None where it is none."""
    inner: Any = None
    if site.context.edits.wrapped(node):
        return None
    match node:
        case cst.Attribute(value=inner, attr=cst.Name(value="T" | "mT" as name)):
            turned = name == "mT" or site.rank(inner) == 2
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="t")), args=[]):
            turned = True
        case cst.Call(
            func=cst.Attribute(value=inner, attr=cst.Name(value="transpose")),
            args=[cst.Arg(value=one), cst.Arg(value=two)],
        ):
            rank = site.rank(inner)
            axes = {constant_value(site.fact(one)), constant_value(site.fact(two))}
            if rank is not None:
                axes = {a % rank if isinstance(a, int) else a for a in axes}
                turned = axes == {rank - 1, rank - 2}
            else:
                turned = axes == {-1, -2}
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="permute")), args=args):
            order = [constant_value(site.fact(a.value)) for a in args]
            turned = order == [0, 2, 1]
        case _:
            return None
    if not turned or not isinstance(site.context.fact(inner), Tensor) or site.rank(inner) == 1:
        return None
    drop_around(site, node, inner)
    return inner


@rewrites(*both("dot", "inner", "vdot", "mv"), to="tf",
          proof=Proof(inputs=[(3, 4), (4,), (4,)],
                      cases=["torch.dot(y, z)", "y.dot(z)", "x.mv(y)",
                             "torch.inner(y, z)"]))  # fmt: skip
def vector_product(site: Site) -> Any:
    given = Arguments(site)
    other = given.get("other", "tensor", "vec", at=0)
    if site.name.endswith("mv"):
        return fill("tf.linalg.matvec(a, b)", a=given.x, b=other)
    if site.name.endswith("inner") and site.rank(given.x) != 1:
        return fill("tf.tensordot(a, b, [[-1], [-1]])", a=given.x, b=other)
    return fill("tf.tensordot(a, b, 1)", a=given.x, b=other)


@rewrites(*both("outer", "ger"), to="tf",
          proof=Proof(inputs=[(3,), (4,)], cases=["torch.outer(x, y)", "x.ger(y)"]))  # fmt: skip
def outer(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.tensordot(a, b, 0)", a=given.x, b=given.get("vec2", at=0))


@rewrites("torch.einsum", to="tf",
          proof=Proof(inputs=[(2, 3, 4), (2, 4, 5)],
                      cases=["torch.einsum('bij,bjk->bik', x, y)", "torch.einsum('bij->b', [x])",
                             "torch.einsum('...ij,...jk->...ik', x, y)"]))  # fmt: skip
def einsum(site: Site) -> Any:
    equation, *parts = Arguments(site, first=False).rest
    if len(parts) == 1 and isinstance(parts[0], (cst.List, cst.Tuple)):
        parts = [e.value for e in parts[0].elements]
    return fill("tf.einsum(equation, *parts)", equation=equation, parts=[cst.Arg(p) for p in parts])


@rewrites(
    *both("addmm", "baddbmm", "addmv"), to="tf",
    proof=Proof(inputs=[(3, 5), (3, 4), (4, 5)],
                cases=["torch.addmm(x, y, z)", "x.addmm(y, z, beta=0.5, alpha=2)"]),
)  # fmt: skip
def add_product(site: Site) -> Any:
    given = Arguments(site)
    return _sum(site, given, given.x)


def _sum(site: Site, given: Arguments, x: Any) -> Any:
    a = given.get("mat1", "batch1", "mat", at=0)
    b = given.get("mat2", "batch2", "vec", at=1)
    beta, alpha = given.get("beta"), given.get("alpha")
    if len(given.rest) == 4:  # torch's old order: x.addmm_(beta, alpha, a, b)
        beta, alpha, a, b = given.rest
    product = "tf.linalg.matvec(a, b)" if "mv" in site.name[-4:] else "a @ b"
    if beta is not None and constant_value(site.fact(beta)) == 1:
        beta = None
    text = ("x" if beta is None else "m * x") + " + " + ("" if alpha is None else "k * ")
    text += f"({product})" if alpha is not None and "@" in product else product
    return fill(text, x=x, a=a, b=b, m=beta, k=alpha)


@rewrites(
    *methods("addmm_", "baddbmm_", "addmv_"), to="tf",
    proof=Proof(inputs=[(3, 5), (3, 4), (4, 5)],
                cases=["x = x * 1\nx.addmm_(y, z, beta=1, alpha=-2)\nx",
                       "x = x * 1\nx.addmm_(y, z)\nx * 2"], directions=["tf"]),
)  # fmt: skip
def add_product_in_place(site: Site) -> Any:
    given = Arguments(site)
    cut = site.alone and not may_have_gradient(site)
    x = stripped(given.x) if cut else given.x
    new = _sum(site, given, x)
    return new if is_inner_link(site) else write_back(site, given.x, new)


LINEAR_ALGEBRA = [
    Rule(name, torch=spellings, keras=keras, when=on_tensor, proof=proof)
    for name, spellings, keras, proof in (
        ("inverse", ("torch.linalg.inv(x)", "torch.inverse(x)", "torch.Tensor.inverse(x)"),
         "tf.linalg.inv(x)", Proof(inputs=[(3, 3)], cases=["torch.linalg.inv(x)"])),
        ("pseudo-inverse", ("torch.linalg.pinv(x)", "torch.pinverse(x)"), "tf.linalg.pinv(x)",
         Proof(inputs=[(3, 2)], cases=["torch.linalg.pinv(x)"], gradients=False)),
        ("determinant", ("torch.linalg.det(x)", "torch.det(x)", "torch.Tensor.det(x)"),
         "tf.linalg.det(x)", Proof(inputs=[(3, 3)], cases=["torch.det(x)"])),
        ("trace", ("torch.trace(x)", "torch.Tensor.trace(x)"), "tf.linalg.trace(x)",
         Proof(inputs=[(3, 3)], cases=["torch.trace(x)"])),
        ("solve", "torch.linalg.solve(x, y)", "tf.linalg.solve(x, y)",
         Proof(inputs=[(3, 3), (3, 2)], cases=["torch.linalg.solve(x, y)"])),
        ("cholesky", ("torch.linalg.cholesky(x)", "torch.cholesky(x)"), "tf.linalg.cholesky(x)",
         Proof(inputs=[(3, 3)], cases=["torch.linalg.cholesky(x @ x.T + torch.eye(3))"])),
        ("matrix-exponential", ("torch.linalg.matrix_exp(x)", "torch.matrix_exp(x)"),
         "tf.linalg.expm(x)",
         Proof(inputs=[(3, 3)], cases=["torch.linalg.matrix_exp(x)"], gradients=False)),
    )
]  # fmt: skip


@rewrites("torch.cdist", "torch.dist", to="tf",
          proof=Proof(inputs=[(3, 4), (5, 4)], cases=["torch.cdist(x, y)", "torch.cdist(x, y, p=1)",
                                                      "torch.dist(x, x + 1)"]))  # fmt: skip
def distance(site: Site) -> Any:
    given = Arguments(site)
    other, p = given.get("x2", "other", at=0), given.given("p", at=1)
    x = site.keywords.get("x1", given.x)
    if site.name.endswith(".dist"):
        return fill("unit(x - y, p)", unit=site.emit("vector_norm"), x=x, y=other, p=p)
    return fill("unit(x, y, p=p)", unit=site.emit("cdist"), x=x, y=other, p=p)


@rewrites(*both("cross"), *in_module("torch.linalg", "cross"), to="tf",
          proof=Proof(inputs=[(5, 3), (5, 3)], cases=["torch.linalg.cross(x, y)"]))  # fmt: skip
def cross(site: Site) -> Any:
    given = Arguments(site)
    if given.get("dim", at=1) is not None:
        raise Unfit("a cross product along another axis than the last has no equal here")
    return fill("tf.linalg.cross(a, b)", a=given.x, b=given.get("other", at=0))
