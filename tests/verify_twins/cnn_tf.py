"""CNN with batch norm, dropout and a shuffled loader on scikit-learn's digits."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

EPOCHS = 2


class TorchBatchNorm(layers.BatchNormalization):
    """BatchNormalization whose moving variance takes the unbiased batch variance, as in torch."""

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        kept = self.momentum * tf.convert_to_tensor(self.moving_variance)
        outputs = super().call(inputs, training=True, mask=mask)
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[self.axis], kept.dtype)
        added = tf.convert_to_tensor(self.moving_variance) - kept
        self.moving_variance.assign(kept + added * count / (count - 1))
        return outputs


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.pad = layers.ZeroPadding2D(1)
        self.conv1 = layers.Conv2D(8, 3, strides=2)
        self.norm = TorchBatchNorm(momentum=0.9, epsilon=1e-5)
        self.drop = layers.SpatialDropout2D(0.2)
        self.conv2 = layers.Conv2D(12, 3, padding="same")
        self.drop2 = layers.Dropout(0.3)
        self.fc = layers.Dense(10)

    def call(self, x, training=None):
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        x = tf.nn.relu(self.norm(self.conv1(self.pad(x)), training=training))
        x = self.drop(x, training=training)
        x = tf.nn.relu(self.conv2(x))
        x = tf.transpose(x, [0, 3, 1, 2])  # NHWC -> NCHW, the order that fc reads
        x = self.drop2(tf.reshape(x, [tf.shape(x)[0], -1]), training=training)
        return self.fc(x)


criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = criterion(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


def main():
    digits = load_digits()
    images = tf.constant(digits.images[:400] / 16, dtype=tf.float32)[:, None]
    labels = tf.constant(digits.target[:400])
    train = tf.data.Dataset.from_tensor_slices((images[:300], labels[:300]))
    test = tf.data.Dataset.from_tensor_slices((images[300:], labels[300:]))
    train_loader = train.shuffle(300).batch(32).prefetch(tf.data.AUTOTUNE)
    test_loader = test.batch(64)

    model = Net()
    optimizer = keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)
    for epoch in range(EPOCHS):
        for x, y in train_loader:
            loss = train_step(model, optimizer, x, y)
        correct = 0
        for x, y in test_loader:
            correct += int(np.sum(np.argmax(model(x, training=False), 1) == y))
        print(f"epoch {epoch} loss {float(loss):.6f} accuracy {correct / len(test):.4f}")


if __name__ == "__main__":
    main()
