# ruff: noqa: E501
"""Wrong translations of the TensorFlow programs of the corpus: see corpus_mutants.py."""

from __future__ import annotations

from corpus_mutants import Mutant, Program

PROGRAMS = {
    "stacked_lstm": Program(13, to="torch"),
    "wine_subclassed": Program(8, to="torch"),
    "rare_class_weight": Program(3, to="torch"),
    "digits_resnet": Program(3, to="torch"),
    "digits_beginner": Program(24, to="torch"),
    "iris_tape": Program(9, to="torch"),
    "digits_dcgan": Program(3, to="torch"),
    "gridworld_dqn": Program(3, to="torch"),
    "window_forecast": Program(3, to="torch"),
}

STACKED_LSTM = (
    ("last step of the wrong axis", r"y\[:, -1\]", "y[-1:].mean(1).expand(len(y), -1)", 1, "loss"),
    ("validation split from the front", r"range\(split\)\)", "range(len(dataset) - split, len(dataset)))", 1, "loss"),
    ("dropout rate", r"nn\.Dropout\(0\.2\)", "nn.Dropout(0.3)", 1, "loss"),
    ("zero_grad missing", r"        optimizer\.zero_grad\(\)\n", "", 2, "gradient norm"),
    ("missing train()", r"    model\.train\(\)\n    total", "    total", 13, "mode"),
    ("missing eval()", r"    model\.eval\(\)\n(    device = next\(model)", r"\1", 13, "mode"),
    ("two biases trained", r"\.requires_grad_\(False\)", "", 1, "gradient norm"),
    ("Adam's epsilon after the correction", r"\(v\.sqrt\(\) \+ group\[\"eps\"\]\)", '(v.sqrt() + group["eps"] * (1 - beta_2**t) ** 0.5)', 2, "loss"),
    ("initial state", r"self\.rnn\(x, states\)", "self.rnn(x, tuple(torch.ones(1, len(x), self.rnn.hidden_size) for _ in range(2)))", 1, "loss"),
)  # fmt: skip

WINE_SUBCLASSED = (
    ("label smoothing of the other default", r"SmoothedCrossEntropy\(0\.05\)", "SmoothedCrossEntropy()", 1, "loss"),
    ("running mean's momentum complement", r"0\.9 \* self\.center \+ 0\.1", "0.1 * self.center + 0.9", 1, "loss"),
    ("decay rate of the second moment", r"betas=\(0\.9, 0\.99\)", "betas=(0.9, 0.999)", 2, "loss"),
    ("softmax over the batch", r"log_softmax\(y_pred, dim=-1\)", "log_softmax(y_pred, dim=0)", 1, "loss"),
    ("last batch dropped", r"batch_size=20,\n    shuffle=True", "batch_size=20, shuffle=True, drop_last=True", 7, "loss"),
    ("deviation with n - 1", r"x\.std\(0\)", "x.std(0, ddof=1)", 1, "loss"),
)  # fmt: skip

RARE_CLASS_WEIGHT = (
    ("class weights dropped", r"torch\.tensor\(\[class_weight\[int\(label\)\] for label in np\.ravel\(y_train\)\]\)", "torch.ones(len(y_train))", 1, "loss"),
    ("sigmoid twice", r"outputs = net\(inputs\)", "outputs = net(inputs).sigmoid()", 1, "loss"),
    ("divided by the weights' sum", r"criterion\(outputs, targets, weights\)", "criterion(outputs, targets, weights) / weights.mean()", 1, "loss"),
    ("loss summed", r"criterion\(outputs, targets, weights\)", "criterion(outputs, targets, weights) * len(targets)", 1, "loss"),
)  # fmt: skip

DIGITS_RESNET = (
    ("batch norm epsilon", r"eps=1e-5, momentum=0\.1", "momentum=0.1", 1, "loss"),
    ("penalty on the weights dropped", r" \+ regularization\(model\)\n", r"\n", 1, "loss"),
    ("nesterov missing", r"nesterov=True", "nesterov=False", 2, "loss"),
    ("padding on the other side", r"\[total // 2, total - total // 2, \*pads\]", "[total - total // 2, total // 2, *pads]", 1, "loss"),
    ("unbiased variance", r"unbiased=False", "unbiased=True", 3, "weights"),
    ("batch norm momentum complement", r"eps=1e-5, momentum=0\.1", "eps=1e-5, momentum=0.9", 3, "weights"),
    ("weight decay for a penalty on the weights", r"nesterov=True\)", "nesterov=True, weight_decay=1e-4)", 2, "loss"),
)  # fmt: skip

DIGITS_BEGINNER = (
    ("flatten order", r"    Permute\(0, 2, 3, 1\),\n    nn\.Flatten", "    nn.Flatten", 1, "loss"),
    ("pooling window", r"nn\.MaxPool2d\(2\)", "nn.MaxPool2d(3, 2, 1)", 1, "loss"),
    ("dropout in evaluation", r"    model\.eval\(\)\n(    device = next\(model)", r"\1", 23, "printed"),
    ("an image scale", r"x_test /= 16", "x_test /= 255", 23, "printed"),
)  # fmt: skip

IRIS_TAPE = (
    ("clipping missing", r"    clip_by_global_norm\(model\.parameters\(\), 1\.0\)\n", "", 2, "loss"),
    ("clipping after the step", r"(    clip_by_global_norm\(model\.parameters\(\), 1\.0\)\n)(    optimizer\.step\(\)\n)", r"\2\1", 2, "loss"),
    ("frozen layer", r"KerasAdam\(model\.parameters", "KerasAdam(model.out.parameters", 1, "gradient norm"),
    ("not shuffled", r"shuffle=True", "shuffle=False", 1, "loss"),
    ("evaluation in training mode", r"    model\.eval\(\)\n    predictions", "    model.train()\n    predictions", 8, "printed"),
)  # fmt: skip

DIGITS_DCGAN = (
    ("a loss that trains both models", r"d_loss\.backward\(inputs=list\(D\.parameters\(\)\)\)", "d_loss.backward()", 1, "gradient norm"),
    ("noise of another scale", r"noise = torch\.randn\(BATCH, NOISE\)", "noise = torch.rand(BATCH, NOISE)", 1, "loss"),
    ("one-sided smoothing missing", r" \* 0\.9\)", ")", 1, "loss"),
    ("decay rate of the first moment", r"betas=\(0\.5, 0\.999\)", "betas=(0.9, 0.999)", 3, "loss"),
    ("real images not scaled to the tanh", r"\(train_images - 8\) / 8", "train_images / 16", 1, "loss"),
    ("fakes made in evaluation", r"G\.train\(\)\n    fakes", "G.eval()\n    fakes", 1, "loss"),
)  # fmt: skip

GRIDWORLD_DQN = (
    ("rate of the target network", r"tau=0\.05", "tau=0.5", 2, "evaluation"),
    ("bound of the clipped norm", r"clip_by_norm\(p\.grad, 1\.0\)", "clip_by_norm(p.grad, 0.01)", 1, "gradient norm"),
    ("discount", r"gamma=0\.95", "gamma=0.99", 1, "loss"),
    ("targets from the trained network", r"self\.judge\(next_states\)", "self.net(next_states)", 2, "evaluation"),
    ("a loss of another shape", r"huber, delta=1\.0", "huber, delta=0.5", 1, "loss"),
)  # fmt: skip

WINDOW_FORECAST = (
    ("schedule off by one", r"schedule\(epoch_2\)", "schedule(epoch_2 + 1)", 1, "learning rate"),
    ("causal padding on both sides", r"ConstantPad1d\(\(4, 0\)", "ConstantPad1d((2, 2)", 1, "loss"),
    ("window off by one", r"w\[:-1\], w\[-1\]", "w[1:], w[-1]", 1, "loss"),
    ("an activation missing", r"(Linear\(16, 12\)\)?,)\n    nn\.ReLU\(\),", r"\1", 1, "loss"),
)  # fmt: skip

TABLES = {
    "stacked_lstm": STACKED_LSTM,
    "wine_subclassed": WINE_SUBCLASSED,
    "rare_class_weight": RARE_CLASS_WEIGHT,
    "digits_resnet": DIGITS_RESNET,
    "digits_beginner": DIGITS_BEGINNER,
    "iris_tape": IRIS_TAPE,
    "digits_dcgan": DIGITS_DCGAN,
    "gridworld_dqn": GRIDWORLD_DQN,
    "window_forecast": WINDOW_FORECAST,
}
MUTANTS = [Mutant(program, *entry) for program, table in TABLES.items() for entry in table]
