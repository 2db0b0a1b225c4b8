"""Facts of PyTorch's products of matrices and vectors."""

from __future__ import annotations

from transpiler.infer.arrays import arithmetic
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Shape,
    Tensor,
    Value,
    items_of,
)
from transpiler.rule import infers
from transpiler.rules.operands import (
    Operands,
    both,
    in_module,
)

# ---- products ---------------------------------------------------------------------------------


@infers(*both("matmul", "mm", "bmm", "mv", "dot", "inner", "vdot"), "torch.linalg.multi_dot")
def products(call: Invocation) -> Value:
    given = Operands(call)
    other = given.arg("other", "mat2", "vec", "tensor", at=0)
    if isinstance(given.first, Tensor) and isinstance(other, Tensor):
        result = arithmetic("MatrixMultiply", given.first, other)
        return result.but(library="torch") if isinstance(result, Tensor) else result
    rank = {"mm": 2, "bmm": 3, "mv": 1, "dot": 0}.get(call.name.rpartition(".")[2])
    return Tensor(None if rank is None else (None,) * rank, given.tensor.dtype, "torch")


@infers(*both("addmm", "addbmm", "baddbmm", "addmv"))
def added_products(call: Invocation) -> Value:
    given = Operands(call)
    a, b = given.arg("mat1", "batch1", "mat", at=0), given.arg("mat2", "batch2", "vec", at=1)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return arithmetic("MatrixMultiply", a, b)
    return given.plain


@infers(*both("outer", "ger"), "torch.cdist", "torch.kron")
def outer(call: Invocation) -> Value:
    given = Operands(call)
    other = given.arg("vec2", "x2", at=0)
    a, b = given.tensor.shape, other.shape if isinstance(other, Tensor) else None
    if a is None or b is None or call.name.endswith("kron"):
        return given.plain.but(shape=None)
    if call.name.endswith("cdist"):
        return given.plain.but(shape=(*a[:-1], b[-2]))
    return given.plain.but(shape=(*a, *b))


@infers("torch.einsum")
def einsum(call: Invocation) -> Value:
    equation, *operands = call.positional or [UNKNOWN]
    if len(operands) == 1 and not isinstance(operands[0], Tensor):
        operands = list(items_of(operands[0]) or ())
    dtype = next((o.dtype for o in operands if isinstance(o, Tensor)), None)
    if not isinstance(equation, Const) or "->" not in str(equation.value):
        return Tensor(None, dtype, "torch")
    left, _, right = str(equation.value).replace(" ", "").partition("->")
    return Tensor(_einsum_shape(left.split(","), right, operands), dtype, "torch")


def _einsum_shape(terms: list[str], result: str, operands: list[Value]) -> Shape:
    if "." in result:
        return None
    sizes: dict[str, Dim] = {}
    for term, operand in zip(terms, operands, strict=False):
        if isinstance(operand, Tensor) and operand.shape is not None and "." not in term:
            for letter, dim in zip(term, operand.shape, strict=False):
                if sizes.get(letter) is None:
                    sizes[letter] = dim
    return tuple(sizes.get(letter) for letter in result)


@infers(*both("inverse", "pinverse", "matrix_exp", "cholesky", "cross", "cov", "corrcoef"),
        *in_module("torch.linalg", "inv", "pinv", "cholesky", "matrix_power",
                   "matrix_exp"))  # fmt: skip
def matrices(call: Invocation) -> Value:
    return Operands(call).plain
