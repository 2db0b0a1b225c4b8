"""The parts of twin runs that need no framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transpiler.verify.compared import Row, judge, relative_difference
from transpiler.verify.explained import Reported
from transpiler.verify.finals import Final, Finals
from transpiler.verify.layouts import arrange, is_ambiguous
from transpiler.verify.precision import widen
from transpiler.verify.printed import compare_lines
from transpiler.verify.report import plain, to_json
from transpiler.verify.scratch import LinkCutter, mirror
from transpiler.verify.tape import Draws, marginals
from transpiler.verify.updates import align, cut
from transpiler.weights import declared
from transpiler.weights.pairing import PairingError, pair_trees, to_keras, to_torch
from transpiler.weights.tree import NEVER, Node, set_paths

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("source", "wide"),
    [
        ("x = torch.tensor(a, dtype=torch.float32)", "x = torch.tensor(a, dtype=torch.float64)"),
        ("x = x.float().mean()", "x = x.double().mean()"),
        ("t = torch.float", "t = torch.float64"),
        ("x = a.astype('float32')", "x = a.astype('float64')"),
        ("x = tf.cast(é, tf.float32)  # float32", "x = tf.cast(é, tf.float64)  # float32"),
        ("from torch import float32", "from torch import float64 as float32"),
        ("x = float(y)", "x = float(y)"),
        ("x = (", "x = ("),
    ],
)
def test_scripts_are_widened_where_they_name_float32(source: str, wide: str) -> None:
    assert widen(source) == wide


def test_arrays_are_served_in_the_order_of_axes_that_is_asked_for() -> None:
    images = RNG.normal(size=(2, 3, 5, 4))
    order = arrange(images.shape, (2, 5, 4, 3))
    assert order is not None
    assert np.array_equal(order.apply(images), images.transpose(0, 2, 3, 1))
    channels = arrange((2, 3, 1, 1), (2, 1, 1, 3))
    assert channels is not None
    assert channels.cost == 0
    assert arrange((2, 3), (7,)) is None


def test_equal_shapes_are_told_apart_by_what_they_are_applied_to() -> None:
    x = RNG.normal(size=(3, 4, 4, 4))
    kept = RNG.random(x.shape) > 0.5
    assert is_ambiguous(x.shape)
    moved = x.transpose(0, 2, 3, 1)
    order = arrange(x.shape, moved.shape, (marginals(x), marginals(moved)))
    assert order is not None
    assert np.array_equal(order.apply(kept), kept.transpose(0, 2, 3, 1))


def test_a_mask_of_ambiguous_shape_is_not_taken_from_another_array(tmp_path: Path) -> None:
    arrays = [RNG.normal(size=(3, 4, 4, 4)) for _ in range(2)]
    masks = [RNG.random(x.shape) > 0.5 for x in arrays]
    recorded = Draws(tmp_path, record=True)
    for x, mask in zip(arrays, masks, strict=True):
        recorded.through("kept", mask, x)
    recorded.close()
    served = Draws(tmp_path, record=False)
    for x, mask in zip(arrays, masks, strict=True):
        moved = x.transpose(0, 3, 1, 2)
        got = served.through("kept", np.zeros(moved.shape, bool), moved)
        assert np.array_equal(got, mask.transpose(0, 3, 1, 2))


def test_draws_are_served_by_kind_and_in_order(tmp_path: Path) -> None:
    recorded = Draws(tmp_path, record=True)
    first, second = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    mask = RNG.random((4, 3)) > 0.5
    for kind, value in (("normal", first), ("kept", mask), ("normal", second)):
        recorded.through(kind, value)
    recorded.close()
    served = Draws(tmp_path, record=False)
    own = np.zeros((4, 3))
    assert np.array_equal(served.through("normal", own), first)
    assert np.array_equal(served.through("normal", own), second)
    assert np.array_equal(served.through("kept", own.astype(bool)), mask)
    assert served.through("normal", own) is own
    assert served.missing == {"normal (4, 3)": 1}
    assert not served.leftover()


def test_printed_numbers_are_compared_where_the_words_agree() -> None:
    ours = [
        "at 2024-05-01 10:11:12.5",
        "device: cpu 1",
        "epoch 1 loss 0.51234 took 3.1s",
        "epoch 1 loss 0.5123",
        "acc 97%",
    ]
    theirs = [
        "at 2024-05-01 10:11:19.5",
        "epoch 1 loss 0.51234 took 9.9s",
        "epoch 1 loss 0.5124",
        "acc 97%",
    ]
    difference, compared, unmatched = compare_lines(ours, theirs, 1e-8)
    assert (difference, compared) == (None, 2)
    assert unmatched == (["device: cpu 1"], [])
    difference, _, _ = compare_lines(ours, ["epoch 1 loss 0.5173"], 1e-8)
    assert difference is not None
    assert (difference.first, difference.second) == (0.5123, 0.5173)


def test_what_fit_says_of_an_epoch_is_compared_log_by_log() -> None:
    keras = ["Epoch 1/2", "Epoch 1/2 - acc: 0.5000 - loss: 1.2500 - val_loss: 1.5000"]
    torch = ["Epoch 1/2 - loss: 1.2500 - acc: 0.5000 - val_loss: 1.5000"]
    assert compare_lines(keras, torch, 1e-8) == (None, 1, ([], []))
    difference, _, _ = compare_lines(keras, [torch[0].replace("1.5", "1.6")], 1e-8)
    assert difference is not None
    assert (difference.first, difference.second) == (1.5, 1.6)


def test_losses_of_one_update_are_compared_together_where_one_side_adds_them() -> None:
    ours = [loss(0.25), loss(0.5), step(3.0), loss(1.0), step(4.0)]
    theirs = [loss(0.75), step(3.0), loss(1.0), step(4.0)]
    assert len(cut(ours)) == 2
    verdict = judge(report(ours), report(theirs), "tf", True)
    assert verdict.equal
    theirs[2]["value"] = 1.0 + 1e-7
    verdict = judge(report(ours), report(theirs), "tf", True)
    assert verdict.first is not None
    assert (verdict.first.step, verdict.first.quantity) == (2, "loss")
    assert "the gradients of step 1 agree" in verdict.first.detail
    assert verdict.exit_code == 1


def loss(value: float) -> dict[str, object]:
    return {"kind": "loss", "update": 0, "value": value}


def step(norm: float) -> dict[str, object]:
    return {"kind": "step", "update": 0, "rates": [0.1], "norms": {"0:w": norm}}


def report(events: list[dict[str, object]]) -> dict[str, object]:
    return {"events": events, "updates": 2, "error": None}


def test_a_run_without_losses_and_numbers_is_no_proof() -> None:
    assert judge(report([]), report([]), "tf", True).exit_code == 2


def test_where_nothing_is_trained_the_verdict_says_so() -> None:
    lines = [{"kind": "print", "update": 0, "text": "done 3"}]
    verdict = judge(report(lines), report(lines), "tf", True)
    assert verdict.equal
    assert not verdict.trained
    assert "They train the same" not in plain(verdict, "train.py")
    assert to_json(verdict)["trained"] is False


def test_the_last_update_shows_in_the_variables() -> None:
    events = [loss(0.25), step(3.0)]
    right = Final("0:w", 2.0, 2.0, 1e-12, trained=True, noisy=False)
    wrong = Final("0:b", 1.0, 1.1, 0.1, trained=True, noisy=False)
    assert judge(report(events), {**report(events), "weights": [right]}, "tf", True).equal
    verdict = judge(report(events), {**report(events), "weights": [right, wrong]}, "tf", True)
    assert verdict.first is not None
    assert (verdict.first.step, verdict.first.quantity) == (2, "weights")
    assert "0:b" in verdict.first.detail


def test_statistics_of_what_is_mere_noise_are_no_difference() -> None:
    """A bias before a batch norm moves by rounding alone, and the running mean with it."""
    events = [loss(0.25), step(3.0)]
    bias = Final("conv.bias", 1.0, 1.0, 0.0, trained=True, noisy=True)
    mean = Final("norm.running_mean", 1.0, 1.1, 0.1, trained=False, noisy=False)
    verdict = judge(report(events), {**report(events), "weights": [bias, mean]}, "tf", True)
    assert verdict.equal
    verdict = judge(report(events), {**report(events), "weights": [mean]}, "tf", True)
    assert not verdict.equal


def test_lines_that_only_one_side_printed_are_shown() -> None:
    def lines(*texts: str) -> list[dict[str, object]]:
        return [{"kind": "print", "update": 0, "text": text} for text in texts]

    ours = [*lines("epoch 1 loss 0.5", "f1 0.25"), loss(0.25)]
    theirs = [*lines("epoch 1 loss 0.5", "F1 score: 0.25"), loss(0.25)]
    notes = judge(report(ours), report(theirs), "tf", True).notes
    assert notes == [
        "printed by the original alone, and not compared: 'f1 0.25'",
        "printed by the translation alone, and not compared: 'F1 score: 0.25'",
    ]


def test_cautions_stand_beside_the_deviations_that_they_explain() -> None:
    ours = [loss(0.25), step(3.0), loss(1.0), step(4.0)]
    theirs = [loss(0.25), step(3.0), loss(1.0 + 1e-6), step(4.0)]
    verdict = judge(report(ours), report(theirs), "tf", True)
    adam = Reported("train.py:7", "caution: another epsilon", "optim.Adam")
    verdict.reported = [
        adam,
        Reported("train.py:3", "caution: the initial values are others", "nn.Linear"),
        Reported("train.py:4", "caution: the biased variance", "nn.BatchNorm2d"),
    ]
    text = plain(verdict, "train.py")
    row = next(line for line in text.splitlines() if line.startswith("loss"))
    assert row.split()[-1] == "train.py:7"
    assert "note: train.py:3: caution: the initial values are others (both start" in text
    assert not adam.explains(Row("loss", 3, 1.0, first=1))


def test_final_values_are_left_for_the_other_side(tmp_path: Path) -> None:
    finals = Finals({0: {"w": np.ones(2)}}, [np.ones(3)], {"0:w": np.ones(2)})
    finals.write(tmp_path / "finals")
    assert np.array_equal(Finals.read(tmp_path / "finals").models[0]["w"], np.ones(2))
    assert not Finals.read(tmp_path / "none").models


def test_not_a_number_equals_itself_alone() -> None:
    assert relative_difference(float("nan"), float("nan")) == 0
    assert relative_difference(float("nan"), 1.0) == float("inf")


def test_nothing_of_the_users_is_written_over(tmp_path: Path) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    (home / "data.csv").write_text("1,2\n")
    (home / "train.py").write_text("x = 'float32'\n")
    mirror(home, scratch, float64=True)
    assert (scratch / "train.py").read_text() == "x = 'float64'\n"
    assert (scratch / "data.csv").is_symlink()
    LinkCutter(scratch).cut(scratch / "data.csv")
    (scratch / "data.csv").write_text("3\n")
    assert (home / "data.csv").read_text() == "1,2\n"
    assert (home / "train.py").read_text() == "x = 'float32'\n"


def linear(name: str, rows: int, columns: int, rank: int = 0) -> Node:
    arrays = {"weight": RNG.normal(size=(rows, columns)), "bias": RNG.normal(size=rows)}
    return Node(name, ("Linear",), arrays, rank=rank)


def dense(name: str, rows: int, columns: int, rank: int = 0) -> Node:
    arrays = {"kernel": np.zeros((columns, rows)), "bias": np.zeros(rows)}
    return Node(name, ("Dense",), arrays, rank=rank)


def test_models_pair_by_name_and_else_by_order_of_call() -> None:
    torch_tree = set_paths(
        Node("", ("Net",), children=[linear("b", 3, 3, rank=1), linear("a", 3, 3, rank=0)])
    )
    named = set_paths(Node("", ("Net",), children=[dense("a", 3, 3), dense("b", 3, 3)]))
    found = to_keras(pair_trees(torch_tree, named))
    assert np.array_equal(found["a.kernel"], torch_tree.children[1].arrays["weight"].T)
    ordered = set_paths(
        Node("", ("Functional",), children=[dense("0", 3, 3, rank=0), dense("1", 3, 3, rank=1)])
    )
    found = to_keras(pair_trees(torch_tree, ordered))
    assert np.array_equal(found["0.kernel"], torch_tree.children[1].arrays["weight"].T)


def test_layers_of_a_graph_pair_in_the_order_of_the_script() -> None:
    """Keras lists them by depth; a module that was not called yet has its order of registration."""
    torch_tree = set_paths(Node("", ("Net",), children=[linear(n, 3, 3, NEVER) for n in "ab"]))
    by_depth = [dense("0", 3, 3, rank=1), dense("1", 3, 3, rank=0)]
    graph = set_paths(Node("", ("Functional",), children=by_depth))
    found = to_keras(pair_trees(torch_tree, graph))
    assert np.array_equal(found["1.kernel"], torch_tree.children[0].arrays["weight"].T)


def test_a_separable_convolution_is_two_modules() -> None:
    first = Node("0", ("Conv2d",), {"weight": RNG.normal(size=(4, 1, 3, 3))})
    second = Node("1", ("Conv2d",), {"weight": RNG.normal(size=(5, 4, 1, 1)), "bias": np.ones(5)})
    separable = Node("0", ("SeparableConv2D",), {
        "depthwise_kernel": np.zeros((3, 3, 2, 2)), "pointwise_kernel": np.zeros((1, 1, 4, 5)),
        "bias": np.zeros(5),
    })  # fmt: skip
    torch_tree = set_paths(Node("", ("Sequential",), children=[first, second]))
    found = to_keras(pair_trees(torch_tree, set_paths(Node("", ("Net",), children=[separable]))))
    depthwise = first.arrays["weight"].reshape(2, 2, 3, 3).transpose(2, 3, 0, 1)
    assert np.array_equal(found["0.depthwise_kernel"], depthwise)
    assert np.array_equal(found["0.pointwise_kernel"][0, 0], second.arrays["weight"][..., 0, 0].T)
    assert np.array_equal(found["0.bias"], np.ones(5))


def test_a_leftover_variable_is_named() -> None:
    torch_tree = set_paths(Node("", ("Net",), children=[linear("a", 3, 2), linear("b", 3, 3)]))
    keras_tree = set_paths(Node("", ("Net",), children=[dense("a", 3, 2)]))
    with pytest.raises(PairingError, match=r"torch b \(Linear\): weight \(3, 3\), bias \(3,\)"):
        pair_trees(torch_tree, keras_tree)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_stacks_go_there_and_back(kind: str, gates: int) -> None:
    arrays = {}
    for layer, width in ((0, 5), (1, 8)):
        for suffix in (f"l{layer}", f"l{layer}_reverse"):
            arrays[f"weight_ih_{suffix}"] = RNG.normal(size=(gates * 4, width))
            arrays[f"weight_hh_{suffix}"] = RNG.normal(size=(gates * 4, 4))
            arrays[f"bias_ih_{suffix}"] = RNG.normal(size=gates * 4)
            arrays[f"bias_hh_{suffix}"] = np.zeros(gates * 4)
    torch_tree = set_paths(Node("", ("Net",), children=[Node("rnn", (kind,), arrays)]))

    def cell(name: str, width: int) -> Node:
        bias = (2, 12) if kind == "GRU" else (gates * 4,)
        shapes = {"kernel": (width, gates * 4), "recurrent_kernel": (4, gates * 4), "bias": bias}
        return Node(name, (kind,), children=[
            Node("cell", (f"{kind}Cell",), {k: np.zeros(s) for k, s in shapes.items()})
        ])  # fmt: skip

    both = [
        Node(f"rnn{i}", ("Bidirectional",),
             children=[cell("forward_layer", width), cell("backward_layer", width)])
        for i, width in enumerate((5, 8))
    ]  # fmt: skip
    keras_tree = set_paths(Node("", ("Net",), children=both))
    values = to_keras(pair_trees(torch_tree, keras_tree))
    assert len(values) == 12
    for node, path in ((c.children[0], c.children[0].path) for b in both for c in b.children):
        node.arrays = {name: values[f"{path}.{name}"] for name in node.arrays}
    back = to_torch(pair_trees(torch_tree, keras_tree))
    for name, value in arrays.items():
        assert np.array_equal(back[f"rnn.{name}"], value), name


def test_a_linked_folder_is_not_written_into(tmp_path: Path) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    (scratch / "data").symlink_to(home)
    with pytest.raises(PermissionError):
        LinkCutter(scratch).cut(scratch / "data" / "new.csv")


def test_what_a_rule_declares_is_what_pairs() -> None:
    """A user's own rule for a class decides, also where shapes would say something else."""
    w, b = RNG.normal(size=(3, 3)), RNG.normal(size=3)
    torch_side = Node("", ("Net",), children=[Node("f", ("MyLinear",), {"weight": w, "bias": b})])
    keras_side = Node(
        "", ("Net",), children=[Node("f", ("MyDense",), {"kernel": w * 0, "bias": b * 0})]
    )
    try:
        declared.use({"MyLinear": [{"weight": "transposed kernel", "bias": "bias"}]})
        values = to_keras(pair_trees(set_paths(torch_side), set_paths(keras_side)))
        declared.use({"MyLinear": [{"weight": "kernel", "bias": "bias"}]})
        plain = to_keras(pair_trees(set_paths(torch_side), set_paths(keras_side)))
    finally:
        declared.use(None)
    assert np.array_equal(values["f.kernel"], w.T)
    assert np.array_equal(plain["f.kernel"], w)


def test_the_shipped_rules_declare_every_stock_layer_with_parameters() -> None:
    names = "Linear Conv2d ConvTranspose1d BatchNorm2d LayerNorm GroupNorm Embedding LSTM GRU PReLU"
    assert set(names.split()) <= set(declared.table())
    assert declared.declared(["MultiheadAttention"]) == ["attention"]


def test_a_user_s_rule_file_is_read_with_the_table(tmp_path: Path) -> None:
    rules = tmp_path / "own_rules.py"
    rules.write_text(
        "from transpiler.rule import Rule\n"
        "OWN = Rule('own', torch='mylib.Scale(n)', keras='mylib.KScale(n)',"
        " weights={'weight': 'gain'})\n"
    )
    declared.leave(tmp_path, (str(rules),))
    try:
        declared.pick_up(tmp_path)
        assert declared.declared(["Scale"]) == [{"weight": "gain"}]
        assert declared.is_declared(["KScale"])
    finally:
        declared.use(None)


def test_updates_one_by_one_are_aligned_with_those_made_at_once() -> None:
    """Two losses and two steps, in turn or the losses first; also where one run is cut short."""

    def events(text: str) -> list[dict[str, Any]]:
        kinds = {"L": "loss", "S": "step"}
        made = [{"kind": kinds[c], "value": float(i)} for i, c in enumerate(text)]
        return [e | {"rates": [0.1], "norms": {str(e["value"]): 3.0}} for e in made]

    turn, once = cut(events("LSLS" * 3)), cut(events("LLSS" * 3))
    both = align(turn, once)
    assert [len(u.losses) for u in both.ours] == [len(u.losses) for u in both.theirs] == [2, 2, 2]
    assert [u.steps for u in both.ours] == [2, 2, 2]
    assert both.ours[0].norm == both.theirs[0].norm
    assert not both.cut_short
    short = align(cut(events("LSLSLS")), once)
    assert short.cut_short
    assert len(short.ours) == len(short.theirs) == 1
    groups = align(cut(events("LS" * 3)), cut(events("LSS" * 3)))
    assert [u.steps for u in groups.ours] == [1, 1, 1]
    assert [u.steps for u in groups.theirs] == [2, 2, 2]
