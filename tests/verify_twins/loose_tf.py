"""Parameters without a module, LBFGS-free and plain: a line and a small net written by hand."""

import keras
import tensorflow as tf

x = tf.linspace(-1.0, 1.0, 40)[:, None]
y = 3 * x - 0.5 + 0.1 * tf.random.normal((40, 1))
w1 = tf.Variable(tf.random.uniform((1, 6), -1, 1))
b1 = tf.Variable(tf.zeros(6))
w2 = tf.Variable(tf.random.normal((6, 1)) * 0.3)
optimizer = keras.optimizers.SGD(learning_rate=0.1, momentum=0.5)
for _ in range(30):
    with tf.GradientTape() as tape:
        prediction = tf.tanh(x @ w1 + b1) @ w2
        loss = tf.reduce_mean((prediction - y) ** 2)
    gradients = tape.gradient(loss, [w1, b1, w2])
    optimizer.apply_gradients(zip(gradients, [w1, b1, w2]))
print("final", round(float(loss), 6))
