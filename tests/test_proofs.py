"""Every rule's proof, in both directions: outputs, gradients, state. See proving.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf
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

GAPS = Path(__file__).parent / "proof_gaps.txt"
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
    if manual(back) and case.source == "torch":
        pytest.xfail(f"gap: {manual(back)[0]}")  # counted by test_gaps
    assert not manual(back), f"{manual(back)}\n{back.code}"
    print(source, back.code, sep="\n")
    try:
        sides = run_back(source, drop_modes(back.code), inputs, case)
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
        if "Pool3D" not in str(error):
            raise
        pytest.xfail("TensorFlow has no kernel for it in double precision")
    # What computes in single precision inside is compared as far as that goes.
    rough = "UpSampling2D" in source and "bilinear" in source
    compare(*sides, replace(case.proof, tolerance=1e-6) if rough else case.proof)


def test_gaps() -> None:
    """What the translation back has no rule for yet is written down; UPDATE_GAPS=1 writes it."""
    gaps = sorted(
        case.id
        for case in FORTH
        if goes_back(case)
        and manual(translate(back_script(case), "torch", back_facts(case), "exact"))
    )
    text = "".join(f"{gap}\n" for gap in gaps)
    if os.environ.get("UPDATE_GAPS"):
        GAPS.write_text(text, encoding="utf-8")
    listed = GAPS.read_text(encoding="utf-8").splitlines() if GAPS.exists() else []
    new, closed = sorted(set(gaps) - set(listed)), sorted(set(listed) - set(gaps))
    assert not new, f"{len(new)} new gaps: {new}"
    assert not closed, f"{len(closed)} gaps are closed, take them out of {GAPS.name}: {closed}"
