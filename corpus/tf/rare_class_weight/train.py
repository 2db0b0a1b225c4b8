# Rare disease: few of the malignant cases are kept; the loss is weighted by class, and the
# output bias starts at the base rate.

from __future__ import absolute_import, division, print_function

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
import tensorflow as tf
from tensorflow.keras import layers, initializers
from tensorflow.keras.metrics import AUC, BinaryAccuracy, Precision, Recall, TruePositives, FalsePositives

tf.keras.utils.set_random_seed(33)

N_SICK = 45
EPOCHS = 8
BATCH = 16

cancer = load_breast_cancer()
sick = cancer.target == 0
chosen = np.concatenate([np.flatnonzero(sick)[:N_SICK], np.flatnonzero(~sick)])
np.random.shuffle(chosen)
X, y = cancer.data[chosen].astype(np.float32), sick[chosen].astype(np.int32)

cut = int(.7 * len(y))
scaler = StandardScaler().fit(X[:cut])
X = np.clip(scaler.transform(X), -5, 5)
X_train, X_test, y_train, y_test = X[:cut], X[cut:], y[:cut], y[cut:]
rate = y_train.mean()
print('{} patients, {:.1%} of them sick'.format(len(y), y.mean()))


def build(p):
    '''p: base rate of the positive class'''
    log_odds = np.log(p / (1 - p))
    net = tf.keras.models.Sequential()
    net.add(layers.InputLayer(shape=(30,)))
    net.add(layers.Dense(16, activation=tf.nn.relu))
    net.add(layers.Dropout(0.3))
    net.add(layers.Dense(1, activation=tf.nn.sigmoid, bias_initializer=initializers.Constant(log_odds)))
    net.compile(
        optimizer=tf.keras.optimizers.Adam(learning_rate=2e-3),
        loss=tf.keras.losses.BinaryCrossentropy(),
        metrics=[BinaryAccuracy(name='accuracy'), Precision(name='precision'), Recall(name='recall'),
                 AUC(name='auc'), TruePositives(name='tp'), FalsePositives(name='fp')])
    return net


net = build(rate)
before = net.evaluate(X_train, y_train, batch_size=64, verbose=0)
entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
print('loss before training %.4f (entropy of the base rate %.4f)' % (before[0], entropy))

balanced = compute_class_weight('balanced', classes=np.array([0, 1]), y=y_train)
class_weight = dict(enumerate(balanced))
print('class weights', {k: round(float(v), 3) for k, v in class_weight.items()})

history = net.fit(X_train, y_train, batch_size=BATCH, epochs=EPOCHS, class_weight=class_weight, verbose=0).history
for i in range(EPOCHS):
    print('epoch {:2d}: weighted loss {:.4f}, precision {:.3f}, recall {:.3f}, auc {:.3f}'.format(
        i + 1, *[history[k][i] for k in ('loss', 'precision', 'recall', 'auc')]))

after = net.evaluate(X_test, y_test, batch_size=BATCH, verbose=0, return_dict=True)
for k in sorted(after):
    print('%-10s %.4f' % (k, after[k]))

# some doctors are surer than others: a weight per sample, on top of the trained network
sure = np.random.uniform(0.5, 1.0, size=len(y_train)).astype('float32')
weight = sure * np.where(y_train == 1, balanced[1], balanced[0])
more = net.fit(X_train, y_train, sample_weight=weight, batch_size=32, epochs=2, verbose=0)
print('by sample weight', np.round(more.history['loss'], 4))

# threshold chosen on the training data
p_train = net.predict(X_train, verbose=0).ravel()
p_test = net.predict(X_test, verbose=0).ravel()
grid = np.linspace(0.1, 0.9, 17)
f1 = [2 * ((p_train > t) & (y_train == 1)).sum() / max(1, (p_train > t).sum() + y_train.sum()) for t in grid]
best = grid[int(np.argmax(f1))]
print('threshold %.2f: %d of %d sick found, %d false alarms' % (
    best, ((p_test > best) & (y_test == 1)).sum(), y_test.sum(), ((p_test > best) & (y_test == 0)).sum()))
