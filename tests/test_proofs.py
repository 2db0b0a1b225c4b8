"""Every rule's proof, in both directions: outputs, gradients, state. See proving.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from proving import (
    Case,
    assert_equal,  # noqa: F401 - so that its assertions are shown in full
    cautions,
    compare,
    drop_modes,
    fact,
    keras_cases,
    manual,
    torch_cases,
    translate,
    used_inputs,
    write_script,
)
from proving_sides import double_precision, run_back, run_forth

from transpiler.infer.values import Value

FORTH = torch_cases()
BACK = keras_cases()


@pytest.fixture(autouse=True)
def single_precision() -> None:
    """Not here: takes the place of the fixture of that name that serves the other tests."""


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


@pytest.mark.parametrize("case", FORTH, ids=[c.id for c in FORTH])
def test_torch_to_keras(case: Case) -> None:
    inputs = used_inputs(case)
    source = write_script(case)
    facts = {name: fact(array, "torch") for name, array in inputs.items()}
    exact = translate(source, "tf", facts, "exact")
    assert not manual(exact), f"{manual(exact)}\n{exact.code}"
    fluent = translate(source, "tf", facts, "fluent")
    codes = [exact.code]
    if fluent.code != exact.code and not cautions(fluent):
        assert not manual(fluent)
        codes.append(fluent.code)
    for code in codes:
        print(code)  # shown where the test fails
        compare(*run_forth(source, drop_modes(code), inputs, case), case.proof)


def back_script(case: Case) -> str:
    """The Keras script to translate back: the case itself, or what became of the torch case."""
    if case.source == "tf":
        return write_script(case)
    facts = {name: fact(array, "torch") for name, array in used_inputs(case).items()}
    return drop_modes(translate(write_script(case), "tf", facts, "fluent").code)


def back_facts(case: Case) -> dict[str, Value]:
    """What is known of the inputs of the Keras script."""
    return {name: fact(array, "tf") for name, array in used_inputs(case).items()}


def goes_back(case: Case) -> bool:
    """Whether a torch case's translation is tried in the other direction."""
    return not case.proof.keras_cases and "torch" in case.proof.directions


BACKWARD = [*BACK, *filter(goes_back, FORTH)]


@pytest.mark.parametrize("case", BACKWARD, ids=[c.id for c in BACKWARD])
def test_keras_to_torch(case: Case) -> None:
    inputs = used_inputs(case)
    source = back_script(case)
    back = translate(source, "torch", back_facts(case), "exact")
    assert not manual(back), f"{manual(back)}\n{back.code}"
    print(source, back.code, sep="\n")
    sides = run_back(source, drop_modes(back.code), inputs, case)
    # What TensorFlow computes in single precision inside is compared as far as that goes.
    rough = "Pooling3D" in source or ("UpSampling2D" in source and "bilinear" in source)
    compare(*sides, replace(case.proof, tolerance=1e-6) if rough else case.proof)
