import numpy as np
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import make_moons

keras.utils.set_random_seed(0)

# two half moons, label 0 or 1
X, y = make_moons(n_samples=800, noise=0.2, random_state=0)
X = tf.constant(X, dtype=tf.float32)
y = tf.reshape(tf.constant(y, dtype=tf.float32), [-1, 1])

dataset = tf.data.Dataset.from_tensor_slices((X[:640], y[:640]))
dataloader = dataset.shuffle(len(dataset)).batch(32).prefetch(tf.data.AUTOTUNE)
X_val, y_val = X[640:], y[640:]

model = keras.Sequential(
    [layers.Dense(32), layers.ReLU(), layers.Dense(32), layers.ReLU(), layers.Dense(1)]
)

loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(learning_rate=0.001, epsilon=1e-08)


def accuracy(logits, labels):
    probs = tf.sigmoid(logits)
    return float(
        tf.reduce_mean(tf.cast(tf.cast(probs >= 0.5, tf.float32) == labels, tf.float32))
    )


n_epochs = 10


@tf.function
def train_step(x_batch, y_batch):
    with tf.GradientTape() as tape:
        y_pred = model(x_batch)
        loss = loss_fn(y_batch, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for epoch in range(n_epochs):
    epoch_loss, n_batches = 0.0, 0
    for x_batch, y_batch in dataloader:
        loss = train_step(x_batch, y_batch)

        epoch_loss += float(loss)
        n_batches += 1

    # validation; the model has no dropout and no batch norm, so no eval() here
    val_pred = model(X_val)
    val_loss = loss_fn(y_val, val_pred)
    print(
        f"Epoch {epoch + 1}/{n_epochs}: loss = {epoch_loss / n_batches:.4f}, "
        f"val_loss = {float(val_loss):.4f}, val_acc = {accuracy(val_pred, y_val):.3f}"
    )

# the decision on a coarse grid
xx, yy = np.meshgrid(np.linspace(-1.5, 2.5, 24), np.linspace(1.5, -1, 9))
grid = tf.cast(np.c_[xx.ravel(), yy.ravel()], tf.float32)
zz = (model(grid) > 0).numpy().reshape(xx.shape)
for row in zz:
    print("".join("#" if v else "." for v in row))

model.save_weights("moons.weights.h5")
print("saved to moons.pth")
