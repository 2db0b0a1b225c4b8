# Custom training loop: tf.data + GradientTape + @tf.function + metric objects
import os
import random

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'

import numpy as np
import tensorflow as tf
from sklearn import datasets

random.seed(116)
np.random.seed(116)
tf.random.set_seed(116)

BATCH_SIZE = 16
EPOCHS = 15
lr = 0.02

iris = datasets.load_iris()
x_data, y_data = iris.data, iris.target
idx = np.random.permutation(len(x_data))
x_data, y_data = x_data[idx], y_data[idx]

x_train, y_train = tf.cast(x_data[:-30], tf.float32), y_data[:-30]
x_test, y_test = tf.cast(x_data[-30:], tf.float32), y_data[-30:]

train_ds = tf.data.Dataset.from_tensor_slices((x_train, y_train))
train_ds = train_ds.shuffle(120).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
test_ds = tf.data.Dataset.from_tensor_slices((x_test, y_test)).batch(BATCH_SIZE)


class IrisModel(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.bn = tf.keras.layers.BatchNormalization(momentum=0.9)
        self.hidden = tf.keras.layers.Dense(16, activation='relu', kernel_initializer='he_normal')
        self.out = tf.keras.layers.Dense(3, activation='softmax')

    def call(self, x, training=None):
        x = self.bn(x, training=training)
        return self.out(self.hidden(x))


model = IrisModel()
criterion = tf.keras.losses.SparseCategoricalCrossentropy()
optimizer = tf.keras.optimizers.Adam(lr)

train_loss = tf.keras.metrics.Mean(name='train_loss')
train_acc = tf.keras.metrics.SparseCategoricalAccuracy(name='train_acc')
test_loss = tf.keras.metrics.Mean(name='test_loss')
test_acc = tf.keras.metrics.SparseCategoricalAccuracy(name='test_acc')


@tf.function
def train_step(features, labels):
    with tf.GradientTape() as tape:
        predictions = model(features, training=True)
        loss = criterion(labels, predictions)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    train_loss(loss)
    train_acc(labels, predictions)


@tf.function
def test_step(features, labels):
    predictions = model(features, training=False)
    t_loss = criterion(labels, predictions)

    test_loss.update_state(t_loss)
    test_acc.update_state(labels, predictions)


curve = []
for epoch in range(1, EPOCHS + 1):
    for features, labels in train_ds:
        train_step(features, labels)
    for features, labels in test_ds:
        test_step(features, labels)

    template = 'epoch {:2d} | loss {:.5f} acc {:.1%} | test loss {:.5f} acc {:.1%}'
    print(template.format(epoch, float(train_loss.result()), float(train_acc.result()),
                          float(test_loss.result()), float(test_acc.result())))
    curve.append((train_loss.result().numpy(), float(test_acc.result())))

    for metric in (train_loss, train_acc, test_loss, test_acc):
        metric.reset_state()

print('best test accuracy', max(acc for _, acc in curve))

# how sure is the network about the flowers it gets wrong?
probs = model(x_test, training=False).numpy()
for p, t in zip(probs, y_test):
    if p.argmax() != t:
        print(iris.target_names[t], '->', iris.target_names[p.argmax()], p.round(3))

# which feature matters? the gradient of the loss with respect to the input
with tf.GradientTape() as tape:
    tape.watch(x_test)
    loss = criterion(y_test, model(x_test, training=False))
saliency = tf.reduce_mean(tf.abs(tape.gradient(loss, x_test)), axis=0)
for name, s in zip(iris.feature_names, saliency.numpy()):
    print('%-20s %.5f' % (name, s))
