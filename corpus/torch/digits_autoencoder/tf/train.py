# denoising autoencoder, digits
import itertools
import math
import keras
import tensorflow as tf
from keras import layers
import numpy as np
from sklearn.datasets import load_digits


def collate(samples):
    """Stacks examples field by field: ints become int64, Python floats float64."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(collate(list(field)) for field in zip(*samples))
    return tf.convert_to_tensor(np.stack([np.asarray(sample) for sample in samples]))


class DataLoader:
    """Batches of an indexable dataset, drawn and collated anew for every epoch."""

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=False,
        sampler=None,
        drop_last=False,
        collate_fn=collate,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn

    def __len__(self):
        count = len(self.dataset if self.sampler is None else self.sampler)
        return (math.floor if self.drop_last else math.ceil)(count / self.batch_size)

    def __iter__(self):
        order = self.sampler
        if order is None:
            count = len(self.dataset)
            order = np.random.permutation(count) if self.shuffle else range(count)
        order = iter(order)
        for _ in range(len(self)):
            indices = [int(i) for i in itertools.islice(order, self.batch_size)]
            if self.collate_fn is collate and hasattr(self.dataset, "take_rows"):
                yield self.dataset.take_rows(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])


class TorchOptimizer(keras.optimizers.Optimizer):
    """Steps counted per variable, dense gradients and weight decay as in torch.optim."""

    def __init__(
        self, learning_rate, slots, weight_decay=0.0, decoupled=False, **kwargs
    ):
        super().__init__(learning_rate, **kwargs)
        self.slots = slots  # state tensors of each variable: name -> initial value
        self.decay = weight_decay
        self.decoupled = decoupled

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.steps = [
            self.add_variable((), dtype="float64", name="step") for _ in variables
        ]
        self.states = [
            [
                self.add_variable_from_reference(
                    v, name, keras.initializers.Constant(np.float64(value))
                )
                for name, value in self.slots.items()
            ]
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = tf.convert_to_tensor(gradient)  # adds up repeated embedding rows
        lr = tf.cast(learning_rate, tf.float64)
        if self.decay and self.decoupled:
            variable.assign(variable * tf.cast(1 - lr * self.decay, variable.dtype))
        elif self.decay:
            gradient = gradient + self.decay * variable
        t = self.steps[index].value.assign_add(1)
        self.update(variable, gradient, lr, t, *[s.value for s in self.states[index]])


class TorchAdam(TorchOptimizer):
    """torch.optim.Adam: eps after the bias correction, weight decay in the gradient."""

    def __init__(
        self,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        decoupled=False,
        **kwargs,
    ):
        slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        if amsgrad:
            slots["max_exp_avg_sq"] = 0.0
        super().__init__(learning_rate, slots, weight_decay, decoupled, **kwargs)
        self.beta_1 = tf.Variable(betas[0], trainable=False, dtype=tf.float64)
        self.beta_2 = betas[1]
        self.eps = eps

    def update(self, p, g, lr, t, m, v, v_max=None):
        m.assign_add((g - m) * tf.cast(1 - self.beta_1, g.dtype))
        v.assign(self.beta_2 * v + (1 - self.beta_2) * g * g)
        if v_max is not None:
            v_max.assign(tf.maximum(v_max, v))
            v = v_max
        scale = tf.cast(tf.sqrt(1 - self.beta_2**t), g.dtype)
        step_size = tf.cast(lr / (1 - self.beta_1**t), g.dtype)
        p.assign_sub(step_size * m / (tf.sqrt(v) / scale + self.eps))


num_epochs = 5
batch_size = 64
learning_rate = 1e-3
noise = 0.3

keras.utils.set_random_seed(99)

dev = "cuda:0" if tf.config.list_physical_devices("GPU") else "cpu"

X, _ = load_digits(return_X_y=True)
X = (X / 16.0).astype(np.float32)
X_train, X_test = X[:1500], X[1500:]


class autoencoder(keras.Model):
    def __init__(self):
        super(autoencoder, self).__init__()
        self.encoder = keras.Sequential(
            [
                layers.Dense(48),
                layers.ReLU(),
                layers.Dense(24),
                layers.ReLU(),
                layers.Dense(12),
                layers.ReLU(),
                layers.Dense(6),
            ]
        )
        self.decoder = keras.Sequential(
            [
                layers.Dense(12),
                layers.ReLU(),
                layers.Dense(24),
                layers.ReLU(),
                layers.Dense(48),
                layers.ReLU(),
                layers.Dense(8 * 8),
                layers.Activation("sigmoid"),
            ]
        )

    def call(self, x):
        x = self.encoder(x)
        x = self.decoder(x)
        return x


class conv_autoencoder(keras.Model):
    def __init__(self):
        super(conv_autoencoder, self).__init__()
        # b, 16, 4, 4
        # b, 8, 2, 2
        # b, 8, 1, 1
        self.encoder = keras.Sequential(
            [
                layers.ZeroPadding2D(1),
                layers.Conv2D(16, 3, strides=2),
                layers.ReLU(),
                layers.ZeroPadding2D(1),
                layers.Conv2D(8, 3, strides=2),
                layers.ReLU(),
                layers.MaxPooling2D(2, strides=1),
            ]
        )
        # b, 16, 2, 2
        # b, 8, 4, 4
        # b, 1, 8, 8
        self.decoder = keras.Sequential(
            [
                layers.Conv2DTranspose(16, 2),
                layers.ReLU(),
                layers.Conv2DTranspose(8, 3, strides=2, output_padding=1),
                layers.Cropping2D(1),
                layers.ReLU(),
                layers.Conv2DTranspose(1, 4, strides=2, padding="same"),
                layers.Activation("sigmoid"),
            ]
        )

    def call(self, x):
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        return tf.transpose(self.decoder(self.encoder(x)), [0, 3, 1, 2])


class MyDataset:
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return tf.convert_to_tensor(self.x[i])


dataloader = DataLoader(MyDataset(X_train), batch_size=batch_size, shuffle=True)


def add_noise(img):
    noisy = img + tf.random.normal(img.shape) * noise
    return tf.clip_by_value(noisy, 0.0, 1.0)


def fit(name, model, as_images):
    print("----", name)
    criterion = keras.losses.MeanSquaredError()
    optimizer = TorchAdam(learning_rate=learning_rate, weight_decay=1e-5)

    @tf.function
    def train_step(img):
        with tf.GradientTape() as tape:
            # ===================forward=====================
            output = model(add_noise(img))
            loss = criterion(img, output)
        # ===================backward====================
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    for epoch in range(num_epochs):
        for data in dataloader:
            img = data
            if as_images:
                img = tf.reshape(img, [-1, 1, 8, 8])
            loss = train_step(img)
        # ===================log========================
        print("epoch [{}/{}], loss:{:.4f}".format(epoch + 1, num_epochs, float(loss)))
    return model


mlp = fit("mlp", autoencoder(), as_images=False)
conv = fit("conv", conv_autoencoder(), as_images=True)

test = tf.convert_to_tensor(X_test)
a = mlp(test)
b = tf.reshape(conv(tf.reshape(test, [-1, 1, 8, 8])), [-1, 64])
print(
    "test mse  mlp %.4f  conv %.4f"
    % (float(tf.reduce_mean((a - test) ** 2)), float(tf.reduce_mean((b - test) ** 2)))
)
code = mlp.encoder(test[:1])
print("code of the first test digit:", tf.squeeze(code, axis=0).numpy())

# keep both: the first one as a whole, of the second one only the weights
mlp.save_weights("mlp_ae.weights.h5")
conv.save_weights("conv_ae.weights.h5")

reloaded = autoencoder()
reloaded(tf.zeros((1, 64)))
reloaded.load_weights("mlp_ae.weights.h5")
again = conv_autoencoder()
again(tf.zeros((1, 1, 8, 8)))
again.load_weights("conv_ae.weights.h5")
print(
    "reloaded: ",
    np.allclose(reloaded(test), a),
    np.allclose(tf.reshape(again(tf.reshape(test, [-1, 1, 8, 8])), [-1, 64]), b),
)
