# Rare disease: keep only some of the malignant cases, then class weights and an initial bias.

from __future__ import absolute_import, division, print_function

import tensorflow as tf
from tensorflow import keras
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

keras.utils.set_random_seed(33)

EPOCHS = 8
BATCH_SIZE = 16

raw = load_breast_cancer()
malignant = (raw.target == 0)
keep = ~malignant
keep[np.flatnonzero(malignant)[:45]] = True
features = raw.data[keep].astype(np.float32)
labels = malignant[keep].astype(np.int32)
shuffled = np.random.permutation(len(labels))
features, labels = features[shuffled], labels[shuffled]

neg, pos = np.bincount(labels)
total = neg + pos
print('Examples:\n    Total: {}\n    Positive: {} ({:.2f}% of total)\n'.format(total, pos, 100 * pos / total))

n_train = int(.7 * total)
scaler = StandardScaler()
x_train = np.clip(scaler.fit_transform(features[:n_train]), -5, 5)
x_test = np.clip(scaler.transform(features[n_train:]), -5, 5)
y_train, y_test = labels[:n_train], labels[n_train:]

METRICS = [
    keras.metrics.TruePositives(name='tp'),
    keras.metrics.FalsePositives(name='fp'),
    keras.metrics.FalseNegatives(name='fn'),
    keras.metrics.BinaryAccuracy(name='accuracy'),
    keras.metrics.Precision(name='precision'),
    keras.metrics.Recall(name='recall'),
    keras.metrics.AUC(name='auc'),
]


def make_model(metrics, output_bias=None):
    if output_bias is not None:
        output_bias = keras.initializers.Constant(output_bias)
    model = keras.Sequential([
        keras.layers.Input(shape=(x_train.shape[-1],)),
        keras.layers.Dense(16, activation='relu'),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1, activation='sigmoid', bias_initializer=output_bias),
    ])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=2e-3),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=metrics)
    return model


initial_bias = np.log([pos / neg])
model = make_model(METRICS, output_bias=initial_bias[0])
print('loss with the initial bias: %.4f' % model.evaluate(x_train, y_train, verbose=0)[0])

# Scaling by total/2 helps keep the loss to a similar magnitude.
weight_for_0 = (1 / neg) * (total / 2.0)
weight_for_1 = (1 / pos) * (total / 2.0)
class_weight = {0: weight_for_0, 1: weight_for_1}
print('Weight for class 0: {:.2f}\nWeight for class 1: {:.2f}'.format(weight_for_0, weight_for_1))

history = model.fit(
    x_train, y_train,
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    class_weight=class_weight,
    verbose=0)
for i, (l, p, r, a) in enumerate(zip(*(history.history[k] for k in ('loss', 'precision', 'recall', 'auc')))):
    print('epoch {:2d} weighted loss {:.4f} precision {:.3f} recall {:.3f} auc {:.3f}'.format(i, l, p, r, a))

results = model.evaluate(x_test, y_test, batch_size=BATCH_SIZE, verbose=0, return_dict=True)
for name, value in results.items():
    print(name, ': ', value)

# the same by sample_weight, on top of the trained model
sample_weight = np.where(y_train == 1, weight_for_1, weight_for_0).astype('float32')
sample_weight *= np.random.uniform(0.9, 1.1, size=len(sample_weight))
history = model.fit(x_train, y_train, sample_weight=sample_weight, batch_size=32, epochs=2, verbose=0)
print('by sample_weight: %s' % np.round(history.history['loss'], 4))

scores = model.predict(x_test, verbose=0).ravel()
order = np.argsort(-scores)[:5]
print('most suspicious:', [(round(float(scores[i]), 3), int(y_test[i])) for i in order])
