# ruff: noqa: E501
"""Wrong translations: each a change to a right one that changes what is trained or reported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One wrong translation: the twin it spoils and the change."""

    name: str
    twin: str
    old: str
    new: str


CNN = (
    ("batch norm epsilon", "epsilon=1e-5", "epsilon=1e-3"),
    ("batch norm momentum complement", "momentum=0.9, epsilon", "momentum=0.1, epsilon"),
    ("batch norm biased variance", "self.norm = TorchBatchNorm(", "self.norm = layers.BatchNormalization("),
    ("batch norm inference in training", "self.conv1(self.pad(x)), training=training)", "self.conv1(self.pad(x)), training=False)"),
    ("padding on one side", "ZeroPadding2D(1)", "ZeroPadding2D(((0, 2), (0, 2)))"),
    ("padding same on a stride", "self.conv1(self.pad(x))", "tf.nn.bias_add(tf.nn.conv2d(x, self.conv1.kernel, 2, 'SAME'), self.conv1.bias) if self.conv1.built else self.conv1(self.pad(x))"),
    ("padding with another value", "self.conv1(self.pad(x))", "self.conv1(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1))"),
    ("flatten order", "x = tf.transpose(x, [0, 3, 1, 2])", "x = tf.transpose(x, [0, 1, 2, 3])"),
    ("height and width swapped", "x = tf.transpose(x, [0, 2, 3, 1])", "x = tf.transpose(x, [0, 3, 2, 1])"),
    ("missing training=", "model(x, training=True)", "model(x)"),
    ("training= in evaluation", "model(x, training=False)", "model(x, training=True)"),
    ("dropout rate", "layers.Dropout(0.3)", "layers.Dropout(0.25)"),
    ("dropout keep probability", "layers.Dropout(0.3)", "layers.Dropout(0.7)"),
    ("dropout missing", "x = self.drop(x, training=training)", "x = x"),
    ("dropout of elements, not channels", "layers.SpatialDropout2D(0.2)", "layers.Dropout(0.2)"),
    ("loss summed", "SparseCategoricalCrossentropy(from_logits=True)", "SparseCategoricalCrossentropy(from_logits=True, reduction='sum')"),
    ("logits taken for probabilities", "from_logits=True", "from_logits=False"),
    ("label smoothing", "loss = criterion(y, model(x, training=True))", "loss = keras.losses.CategoricalCrossentropy(True, 0.1)(tf.one_hot(y, 10), model(x, training=True))"),
    ("a class ignored", "from_logits=True)", "from_logits=True, ignore_class=0)"),
    ("momentum", "momentum=0.9)\n    for", "momentum=0.8)\n    for"),
    ("momentum missing", "learning_rate=0.05, momentum=0.9", "learning_rate=0.05"),
    ("nesterov", "momentum=0.9)\n    for", "momentum=0.9, nesterov=True)\n    for"),
    ("learning rate", "learning_rate=0.05", "learning_rate=0.01"),
    ("weight decay", "learning_rate=0.05,", "learning_rate=0.05, weight_decay=1e-4,"),
    ("another optimizer", "keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)", "keras.optimizers.Adam(learning_rate=0.05)"),
    ("last batch dropped", ".batch(32)", ".batch(32, drop_remainder=True)"),
    ("shuffled after batching", ".shuffle(300).batch(32)", ".batch(32).shuffle(300)"),
    ("not shuffled", "train.shuffle(300)", "train"),
    ("shuffled once for all epochs", ".shuffle(300)", ".shuffle(300, reshuffle_each_iteration=False)"),
    ("batch size", ".batch(32)", ".batch(30)"),
    ("another activation", "x = tf.nn.relu(self.conv2(x))", "x = tf.nn.elu(self.conv2(x))"),
    ("activation missing", "x = tf.nn.relu(self.conv2(x))", "x = self.conv2(x)"),
    ("activation before the norm", "tf.nn.relu(self.norm(self.conv1(self.pad(x)), training=training))", "self.norm(tf.nn.relu(self.conv1(self.pad(x))), training=training)"),
    ("a frozen layer", "gradients = tape.gradient(loss, model.trainable_variables)\n    optimizer.apply_gradients(zip(gradients, model.trainable_variables))", "variables = model.fc.trainable_variables\n    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))"),
    ("pixel scale", "digits.images[:400] / 16", "digits.images[:400] / 255"),
    ("test data from the training part", "images[300:]", "images[:100]"),
    ("optimizer made anew in each epoch", "    for epoch in range(EPOCHS):\n", "    for epoch in range(EPOCHS):\n        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)\n        globals()['train_step'] = tf.function(train_step.python_function)\n"),
    ("one epoch less", "EPOCHS = 2", "EPOCHS = 1"),
    ("accuracy over another count", "correct / len(test)", "correct / 64"),
)  # fmt: skip

GAN = (
    ("generator's step from the old discriminator", "        opt_d.apply_gradients(zip(gradients, D.trainable_variables))\n        loss_g = bce(tf.ones((32, 1)), D(fake, training=True))\n", "        loss_g = bce(tf.ones((32, 1)), D(fake, training=True))\n        opt_d.apply_gradients(zip(gradients, D.trainable_variables))\n"),
    ("labels swapped", "bce(tf.ones((32, 1)), D(real, training=True))", "bce(tf.zeros((32, 1)), D(real, training=True))"),
    ("wrong random scale", "noise = tf.random.normal((32, 4))", "noise = tf.random.normal((32, 4), stddev=0.5)"),
    ("uniform for normal noise", "noise = tf.random.normal((32, 4))", "noise = tf.random.uniform((32, 4))"),
    ("random range", "tf.random.uniform((32,), 0, 256", "tf.random.uniform((32,), 0, 255"),
    ("leaky slope", "negative_slope=0.1", "negative_slope=0.3"),
    ("optimizers swapped", "opt_g = keras.optimizers.SGD(learning_rate=0.05)", "opt_g = keras.optimizers.SGD(learning_rate=0.02)"),
    ("real half of the loss missing", "loss_d = loss_real + loss_fake", "loss_d = loss_fake"),
    ("losses averaged, not added", "loss_d = loss_real + loss_fake", "loss_d = (loss_real + loss_fake) / 2"),
    ("dropout of the discriminator off", "D(real, training=True)", "D(real, training=False)"),
)  # fmt: skip

GRU = (
    ("clipping missing", "pairs = [(g * scale, v)", "pairs = [(g, v)"),
    ("clipping each variable", "pairs = [(g * scale, v)", "pairs = [(tf.clip_by_norm(g, 0.2), v)"),
    ("clipping without torch's 1e-6", "+ 1e-6)", "+ 0.0)"),
    ("clipping norm", "tf.minimum(0.2 /", "tf.minimum(0.25 /"),
    ("schedule off by one", "    order = tf.random", "    opt_embed.learning_rate = opt_embed.learning_rate * 0.5\n    optimizer.learning_rate = optimizer.learning_rate * 0.5\n    order = tf.random"),
    ("schedule for one group alone", "    opt_embed.learning_rate = opt_embed.learning_rate * 0.5\n", ""),
    ("groups at one rate", "learning_rate=0.2)", "learning_rate=0.1)"),
    ("dropout between layers missing", "self.between(self.rnn1(self.embed(ids)), training=training)", "self.rnn1(self.embed(ids))"),
    ("first output for the last", "out[:, -1]", "out[:, 0]"),
    ("last states for the last output", "return self.fc(out[:, -1] * self.scale)", "return self.fc(tf.concat([out[:, -1, :6], out[:, 0, 6:]], 1) * self.scale)"),
    ("reset gate before the product", "layers.GRU(hidden, ret", "layers.GRU(hidden, reset_after=False, ret"),
    ("gate activation", "layers.GRU(hidden, ret", "layers.GRU(hidden, recurrent_activation='hard_sigmoid', ret"),
    ("time reversed", "self.embed(ids)", "self.embed(ids[:, ::-1])"),
    ("parameter not trained", "[(g, v) for g, v in pairs if id(v) not in embed]", "[(g, v) for g, v in pairs if id(v) not in embed and v is not model.scale]"),
    ("order drawn once", "for epoch in range(args.epochs):\n    order = tf.random.shuffle(tf.range(len(tokens))).numpy()\n", "order = tf.random.shuffle(tf.range(len(tokens))).numpy()\nfor epoch in range(args.epochs):\n"),
)  # fmt: skip

FIT = (
    ("L2 halved", "0.01 * model", "0.005 * model"),
    ("L2 missing in training", "F.cross_entropy(model(x), y) + penalty()\n", "F.cross_entropy(model(x), y)\n"),
    ("L2 missing in validation", " + penalty().item())", ")"),
    ("momentum of torch's default", "lr=0.05, momentum=0.9", "lr=0.05"),
    ("fit not shuffled", "shuffle=True", "shuffle=False"),
    ("zero_grad missing", "        optimizer.zero_grad()\n", ""),
    ("eval missing", "    model.eval()\n", ""),
    ("train missing", "    model.train()\n", ""),
    ("another split", "len(data) * 0.75", "len(data) * 0.8"),
    ("unbiased deviation of the data", "data.std(0)", "data.std(0, ddof=1)"),
    ("validation loss of batch means", 'reduction="sum").item()', 'reduction="mean").item()'),
    ("softmax twice", "F.cross_entropy(model(x), y) + pen", "F.cross_entropy(model(x).softmax(-1), y) + pen"),
)  # fmt: skip

TWINS = {"cnn": CNN, "gan": GAN, "gru": GRU, "fit": FIT}
MUTANTS = [Mutant(name, twin, old, new) for twin, all_ in TWINS.items() for name, old, new in all_]
