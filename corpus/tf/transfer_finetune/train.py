# Transfer learning on the digits: base network from 0-4, then 5-9 with a frozen base, then fine-tuning.

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow.keras import layers, models, optimizers

tf.keras.utils.set_random_seed(8)

img_shape = (8, 8, 1)
batch_size = 32


def load(first, last):
    digits = load_digits()
    sel = (digits.target >= first) & (digits.target <= last)
    x = digits.images[sel][..., None].astype('float32')
    y = digits.target[sel] - first
    return x, y


def create_base():
    base = models.Sequential(name='base')
    base.add(layers.Input(shape=img_shape))
    base.add(layers.Rescaling(1 / 8., offset=-1))
    base.add(layers.Conv2D(16, (3, 3), activation='relu', name='conv1'))
    base.add(layers.BatchNormalization(momentum=0.9, name='bn1'))
    base.add(layers.Conv2D(32, (3, 3), activation='relu', name='conv2'))
    base.add(layers.AveragePooling2D((2, 2)))
    base.add(layers.Conv2D(32, (2, 2), activation='relu', name='conv3'))
    return base


# --- 1. base network
x_a, y_a = load(0, 4)
base_model = create_base()
first = models.Sequential([base_model, layers.GlobalMaxPooling2D(), layers.Dense(5, activation='softmax')])
first.compile(optimizer=optimizers.Adam(3e-3), loss='sparse_categorical_crossentropy', metrics=['accuracy'])
first.fit(x_a, y_a, batch_size=batch_size, epochs=2, verbose=2)
base_model.save_weights('base.weights.h5')

# --- 2. new head, frozen base
x_b, y_b = load(5, 9)
rng = np.random.RandomState(0)
order = rng.permutation(len(x_b))
x_b, y_b = x_b[order], y_b[order]
train = tf.data.Dataset.from_tensor_slices((x_b[:300], y_b[:300])).shuffle(300).batch(batch_size)
valid = tf.data.Dataset.from_tensor_slices((x_b[300:], y_b[300:])).batch(128)

base_model = create_base()
base_model.load_weights('base.weights.h5')
base_model.trainable = False

inputs = tf.keras.Input(shape=img_shape)
x = base_model(inputs, training=False)
x = layers.GlobalMaxPooling2D()(x)
x = layers.Dropout(0.1)(x)
outputs = layers.Dense(5, name='head')(x)
model = tf.keras.Model(inputs, outputs)
print('trainable tensors: %d of %d' % (len(model.trainable_variables), len(model.variables)))

loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=optimizers.Adam(learning_rate=0.01), loss=loss, metrics=['accuracy'])
loss0, accuracy0 = model.evaluate(valid, verbose=0)
print('initial loss: {:.2f}, initial accuracy: {:.2f}'.format(loss0, accuracy0))
history = model.fit(train, epochs=3, validation_data=valid, verbose=2)

# --- 3. fine-tune everything from conv2 on
base_model.trainable = True
for layer in base_model.layers:
    if layer.name in ('conv1', 'bn1'):
        layer.trainable = False
print([(l.name, l.trainable) for l in base_model.layers])

model.compile(optimizer=optimizers.RMSprop(learning_rate=5e-4), loss=loss, metrics=['accuracy'])
history_fine = model.fit(train, epochs=6, initial_epoch=history.epoch[-1] + 1, validation_data=valid, verbose=2)

acc = history.history['val_accuracy'] + history_fine.history['val_accuracy']
print('validation accuracy:', ' '.join('%.3f' % a for a in acc))
model.save('transferred.keras')
