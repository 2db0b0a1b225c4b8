"""A Keras fit loop: functional model, shuffled arrays, validation split, L2, momentum."""

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_wine

data, target = load_wine(return_X_y=True)
data = ((data - data.mean(0)) / data.std(0)).astype("float32")
order = np.random.default_rng(1).permutation(len(data))
data, target = data[order], target[order]

inputs = keras.Input((13,))
x = layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01))(inputs)
x = layers.Dropout(0.2)(x)
outputs = layers.Dense(3, activation="softmax")(x)
model = keras.Model(inputs, outputs)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
history = model.fit(data, target, batch_size=16, epochs=3, validation_split=0.25, verbose=0)
for epoch, value in enumerate(history.history["val_loss"]):
    print(f"epoch {epoch} val_loss {value:.6f}")
