import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.preprocessing import MinMaxScaler
from keras.models import Sequential
from keras.layers import LSTM, Dense
from keras.callbacks import LambdaCallback

tf.keras.utils.set_random_seed(7)

# passengers of an imaginary airline: trend + season + noise, 12 years of weeks
weeks = np.arange(12 * 52)
df = pd.DataFrame({
    'passengers': 100 + 0.2 * weeks + 30 * np.sin(2 * np.pi * weeks / 52) + np.random.normal(0, 4, len(weeks)),
    'holiday': (weeks % 26 < 3).astype(float),
})
dataset = df.values.astype('float32')

# normalize the dataset
scaler = MinMaxScaler(feature_range=(0, 1))
dataset = scaler.fit_transform(dataset)

# split into train and test sets
train_size = int(len(dataset) * 0.75)
train, test = dataset[:train_size], dataset[train_size:]


# windows of `n` weeks, and the passengers of the week after
def windows(table, n):
    starts = range(len(table) - n)
    return np.stack([table[s:s + n] for s in starts]), np.array([table[s + n, 0] for s in starts])


look_back = 12
trainX, trainY = windows(train, look_back)
testX, testY = windows(test, look_back)
timesteps, features = trainX.shape[1], trainX.shape[2]
print(trainX.shape, trainY.shape)

model = Sequential()
model.add(LSTM(64, input_shape=(timesteps, features)))
model.add(Dense(1))
model.compile(loss='mean_squared_error', optimizer='adam')

log = LambdaCallback(on_epoch_end=lambda epoch, logs: print('epoch %d loss %.5f val_loss %.5f' % (
    epoch, logs['loss'], logs['val_loss'])))
model.fit(trainX, trainY, epochs=6, batch_size=16, verbose=0, validation_data=(testX, testY), callbacks=[log])

# make predictions
fitted = model.predict(trainX, verbose=0)
forecast = model.predict(testX, verbose=0)


# invert predictions
def invert(column):
    padded = np.zeros((len(column), features))
    padded[:, 0] = column
    return scaler.inverse_transform(padded)[:, 0]


def rmse(a, b):
    return np.sqrt(np.mean((a - b) ** 2))


print('rmse on the first nine years: %.2f' % rmse(invert(trainY), invert(fitted[:, 0])))
print('rmse on the last three years: %.2f' % rmse(invert(testY), invert(forecast[:, 0])))

# roll the model forward
window = testX[-1:].copy()
future = []
for _ in range(5):
    nxt = model.predict(window, verbose=0)[0, 0]
    future.append(nxt)
    window = np.roll(window, -1, axis=1)
    window[0, -1] = [nxt, 0.0]
print('next weeks:', invert(np.array(future)).round(1))
