# ruff: noqa: E501
"""Wrong translations of corpus programs: each a change to the exact translation, and its verdict.

A pattern is a regular expression over the translation; the change has to hit. `step` and `quantity`
are where verification has to say that the two part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Program:
    """How a corpus program is run: enough steps to see an evaluation and a second epoch."""

    steps: int
    arguments: tuple[str, ...] = ()
    to: Literal["tf", "torch"] = "tf"


PROGRAMS = {
    "digits_cnn": Program(10, ("--batch-size", "400", "--epochs", "2")),
    "wine_trainer": Program(10),
    "digits_gan": Program(5),
    "accumulation_mixer": Program(4),
    "waves_gru": Program(3),
}


@dataclass(frozen=True)
class Mutant:
    """One wrong translation, and where it has to be seen."""

    program: str
    kind: str
    pattern: str
    change: str
    step: int
    quantity: str


DIGITS_CNN = (
    ("batch norm epsilon", r"epsilon=1e-5, \*\*kwargs", "epsilon=1e-3, **kwargs", 1, "loss"),
    ("batch norm momentum complement", r"momentum=0\.9, epsilon=1e-5, \*\*", "momentum=0.1, epsilon=1e-5, **", 4, "printed"),
    ("biased variance", r"added \* count / \(count - 1\)", "added", 5, "evaluation"),
    ("missing training=", r"model\(data, training=True\)", "model(data)", 1, "mode"),
    ("training= in evaluation", r"model\(data, training=False\)", "model(data, training=True)", 4, "printed"),
    ("flatten order", r"tf\.reshape\(tf\.transpose\(x, \[0, 3, 1, 2\]\), ", "tf.reshape(x, ", 1, "loss"),
    ("dropout rate", r"rate=0\.5", "rate=0.4", 1, "loss"),
    ("dropout of elements, not channels", r"SpatialDropout2D", "Dropout", 1, "loss"),
    ("loss summed, not averaged", r"-tf\.reduce_mean\(tf\.gather\(output", "-tf.reduce_sum(tf.gather(output", 1, "loss"),
    ("momentum", r"momentum=args\.momentum\)", "momentum=0.9)", 3, "loss"),
    ("nesterov momentum", r"momentum=args\.momentum\)", "momentum=args.momentum, nesterov=True)", 2, "loss"),
    ("learning rate inside the momentum", r"= TorchSGD\(", "= keras.optimizers.SGD(", 6, "loss"),
    ("schedule off by one", r"args\.gamma\*\*epoch", "args.gamma ** (epoch + 1)", 1, "learning rate"),
    ("schedule missing", r"scheduler\.step\(\)", "pass", 5, "learning rate"),
    ("last batch dropped", r"batch_size=batch_size, shuffle=True", "batch_size=batch_size, shuffle=True, drop_last=True", 4, "loss"),
    ("not shuffled", r"batch_size=batch_size, shuffle=True", "batch_size=batch_size, shuffle=False", 1, "loss"),
    ("wrong axis", r"log_softmax\(self\.fc2\(x\), axis=1\)", "log_softmax(self.fc2(x), axis=0)", 1, "loss"),
    ("permuted weights", r"self\.fc1\(x\)", "self.fc1(tf.reverse(x, [1]))", 1, "loss"),
    ("biased deviation of the data", r"standard_deviation\(images", "tf.math.reduce_std(images", 5, "evaluation"),
    ("frozen layer", r"zip\(gradients, model\.trainable_variables\)", "zip(gradients[2:], model.trainable_variables[2:])", 2, "loss"),
    ("an epoch less", r"range\(1, args\.epochs \+ 1\)", "range(1, args.epochs)", 5, "loss"),
)  # fmt: skip

WINE = (
    ("label smoothing missing", r"label_smoothing=cfg\.label_smoothing", "label_smoothing=0.0", 1, "loss"),
    ("weight decay kind", r"decoupled=True", "decoupled=False", 2, "loss"),
    ("weight decay of the other default", r"weight_decay=1e-2", "weight_decay=4e-3", 2, "loss"),
    ("decay rates of Adam", r"betas=cfg\.betas", "betas=(0.9, 0.999)", 3, "loss"),
    ("Adam's epsilon before the correction", r"\(tf\.sqrt\(v\) / scale \+ self\.eps\)", "((tf.sqrt(v) + self.eps) / scale)", 2, "loss"),
    ("approximated GELU", r'layers\.Activation\("gelu"\)', "layers.Lambda(lambda t: tf.nn.gelu(t, approximate=True))", 1, "loss"),
    ("incomplete batch kept", r"drop_remainder=True", "drop_remainder=False", 9, "loss"),
    ("shuffled after batching", r"\.shuffle\(len\(x_tr\)\)\s*\.batch\(cfg\.batch_size, drop_remainder=True\)", ".batch(cfg.batch_size, drop_remainder=True).shuffle(len(x_tr))", 1, "loss"),
    ("deviation with n - 1", r"x_tr\.std\(axis=0\)", "x_tr.std(axis=0, ddof=1)", 1, "loss"),
)  # fmt: skip

GAN = (
    ("padding side", r"ZeroPadding2D\(1\)", "ZeroPadding2D(((0, 2), (0, 2)))", 1, "loss"),
    ("generator's step before the critic's", r"d_loss = d_step\(real\)\n( *)g_loss, fooled = g_step\(BS\)", r"g_loss, fooled = g_step(BS)\n\1d_loss = d_step(real)", 1, "loss"),
    ("wrong random scale", r"tf\.random\.normal\(\[n, Z_DIM\]\)", "tf.random.normal([n, Z_DIM], stddev=0.5)", 1, "loss"),
    ("labels swapped", r"bce\(zeros, ", "bce(ones, ", 1, "loss"),
    ("one-sided smoothing missing", r"0\.9 \* ones", "ones", 1, "loss"),
    ("leaky slope of the other default", r"negative_slope=0\.2", "negative_slope=0.3", 1, "loss"),
    ("generator in inference", r"gen\(sample_z\(n\), training=True\), training=True\)", "gen(sample_z(n), training=False), training=True)", 2, "loss"),
    ("learning rates swapped", r"learning_rate=5e-4", "learning_rate=1e-3", 1, "learning rate"),
)  # fmt: skip

MIXER = (
    ("gradient not zeroed", r"accumulated = None\n( *)n_steps", r"n_steps", 2, "gradient norm"),
    ("clipping missing", r"accumulated, total_norm = clip_grad_norm", "_, total_norm = clip_grad_norm", 2, "loss"),
    ("clipping before accumulating", r"return loss, gradients", "return loss, clip_grad_norm(gradients, hp.clip)[0]", 1, "gradient norm"),
    ("accumulated loss not divided", r"loss = loss / hp\.accum_steps", "loss = loss / 1", 1, "loss"),
    ("momentum schedule of the other default", r"momentum_decay=4e-3", "momentum_decay=1.0", 2, "loss"),
    ("layer norm epsilon", r"epsilon=1e-5", "epsilon=1e-3", 1, "loss"),
    ("residual missing", r"self\.fn\(self\.norm\(x\)\) \+ x", "self.fn(self.norm(x))", 1, "loss"),
)  # fmt: skip

WAVES = (
    ("time reversed", r"self\.gru\(x\)", "self.gru(tf.reverse(x, [0]))", 1, "loss"),
    ("gate activation", r"reset_after=True", "reset_after=True, recurrent_activation='hard_sigmoid'", 1, "loss"),
)  # fmt: skip

TABLES = {
    "digits_cnn": DIGITS_CNN,
    "wine_trainer": WINE,
    "digits_gan": GAN,
    "accumulation_mixer": MIXER,
    "waves_gru": WAVES,
}
MUTANTS = [Mutant(program, *entry) for program, table in TABLES.items() for entry in table]
