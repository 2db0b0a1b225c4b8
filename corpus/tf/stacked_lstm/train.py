# Stacked LSTM: which of three machines made this vibration?
# Keras, Sequential, two recurrent layers, everything in one go.

import numpy as np
import keras
from keras.models import Sequential
from keras.layers import Dense, Dropout, LSTM, Input
from keras.optimizers import Adam
from keras.callbacks import EarlyStopping
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(2)

N, T, C = 600, 24, 3

# ----------------------------------------------------------------- data
def vibration(kind):
    t = np.arange(T)
    base = {0: np.sin(.5 * t), 1: np.sin(.5 * t) * np.exp(-.08 * t), 2: np.sin(.5 * t + .02 * t ** 2)}[kind]
    phase = np.random.randint(0, 6)
    sig = np.roll(base, phase)
    return np.stack([sig, np.gradient(sig), np.ones(T)], axis=-1) + .25 * np.random.randn(T, C)

labels = np.random.randint(0, 3, size=N)
X = np.array([vibration(k) for k in labels])
Y = keras.utils.to_categorical(labels)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=.25, random_state=2)
print(X_train.shape, Y_train.shape)

# ----------------------------------------------------------------- model
model = Sequential([
    Input(shape=(T, C)),
    LSTM(32, return_sequences=True, recurrent_dropout=0.0),
    Dropout(0.2),
    LSTM(16, activation='tanh', recurrent_activation='sigmoid', unit_forget_bias=True),
    Dropout(0.2),
    Dense(3, activation='softmax'),
])
model.compile(loss='categorical_crossentropy', optimizer=Adam(learning_rate=0.005), metrics=['acc'])

# ----------------------------------------------------------------- training
hist = model.fit(
    X_train, Y_train,
    batch_size=32,
    epochs=6,
    verbose=0,
    validation_split=0.15,
    callbacks=[EarlyStopping(monitor='val_acc', patience=4, mode='max', restore_best_weights=True)],
)
for e, (l, a, vl, va) in enumerate(zip(hist.history['loss'], hist.history['acc'],
                                       hist.history['val_loss'], hist.history['val_acc'])):
    print('epoch %2d - loss: %.4f - acc: %.4f - val_loss: %.4f - val_acc: %.4f' % (e + 1, l, a, vl, va))

loss, acc = model.evaluate(X_test, Y_test, batch_size=50, verbose=0)
print('test', round(loss, 4), round(acc, 4))

cm = np.zeros((3, 3), int)
for t, p in zip(Y_test.argmax(1), model.predict(X_test, verbose=0).argmax(1)):
    cm[t, p] += 1
print(cm)

kernel, recurrent, bias = model.layers[0].get_weights()
print(kernel.shape, recurrent.shape, bias.shape)
model.save_weights('stacked.weights.h5')
