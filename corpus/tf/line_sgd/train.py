# Fit y = 2x - 1 with one neuron
import numpy as np
import tensorflow as tf
from tensorflow import keras

keras.utils.set_random_seed(0)

model = tf.keras.Sequential([keras.layers.Dense(units=1, input_shape=(1,))])
model.compile(optimizer='sgd', loss='mean_squared_error')
model.summary()

# ---- the easy way: everything by default ----
xs = np.random.uniform(-1.0, 4.0, size=(2048, 1)).astype('float32')
ys = 2.0 * xs - 1.0 + np.random.normal(0.0, 0.05, size=xs.shape).astype('float32')

history = model.fit(xs, ys)
print('loss after one epoch:', history.history['loss'])
print('loss on everything:  ', model.evaluate(xs, ys, verbose=0))
print('prediction for 10:', model.predict(np.array([[10.0]]), verbose=0))
print('weights:', [w.tolist() for w in model.get_weights()])

# ---- the same by hand: variables, tape, assign_sub ----
w = tf.Variable(0.0)
b = tf.Variable(0.0)
lr = 0.05


def predict(x):
    return w * x + b


def mse(y_true, y_pred):
    return tf.reduce_mean(tf.square(y_true - y_pred))


x = tf.constant(xs[:256, 0])
y = tf.constant(ys[:256, 0])
for i in range(60):
    with tf.GradientTape() as tape:
        loss = mse(y, predict(x))
    dw, db = tape.gradient(loss, [w, b])
    w.assign_sub(lr * dw)
    b.assign_sub(lr * db)
    if i % 10 == 0:
        print("step %2d   w = %.3f   b = %.3f   loss = %.4f" % (i, w.numpy(), b.numpy(), loss.numpy()))
print('w', w.numpy(), 'b', b.numpy())

# ---- and a quadratic, with SGD and momentum on a list of variables ----
coef = [tf.Variable(tf.zeros(())) for _ in range(3)]
opt = tf.keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
target = 0.5 * x ** 2 - x + 0.25
for i in range(80):
    with tf.GradientTape() as tape:
        guess = coef[0] * x ** 2 + coef[1] * x + coef[2]
        loss = tf.reduce_mean((guess - target) ** 2)
    grads = tape.gradient(loss, coef)
    opt.apply_gradients(zip(grads, coef))
    if i % 20 == 0:
        tf.print('quadratic', i, loss)
print([round(float(c), 3) for c in coef])
