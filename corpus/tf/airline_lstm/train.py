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
train, test = dataset[0:train_size, :], dataset[train_size:len(dataset), :]


# convert an array of values into a dataset matrix
def create_dataset(dataset, look_back=1):
    dataX, dataY = [], []
    for i in range(len(dataset) - look_back - 1):
        dataX.append(dataset[i:(i + look_back), :])
        dataY.append(dataset[i + look_back, 0])
    return np.array(dataX), np.array(dataY)


look_back = 12
trainX, trainY = create_dataset(train, look_back)
testX, testY = create_dataset(test, look_back)
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
trainPredict = model.predict(trainX, verbose=0)
testPredict = model.predict(testX, verbose=0)


# invert predictions
def invert(column):
    padded = np.zeros((len(column), features))
    padded[:, 0] = column
    return scaler.inverse_transform(padded)[:, 0]


def rmse(a, b):
    return np.sqrt(np.mean((a - b) ** 2))


print('Train Score: %.2f RMSE' % rmse(invert(trainY), invert(trainPredict[:, 0])))
print('Test Score: %.2f RMSE' % rmse(invert(testY), invert(testPredict[:, 0])))

# roll the model forward
window = testX[-1:].copy()
future = []
for _ in range(5):
    nxt = model.predict(window, verbose=0)[0, 0]
    future.append(nxt)
    window = np.roll(window, -1, axis=1)
    window[0, -1] = [nxt, 0.0]
print('next weeks:', invert(np.array(future)).round(1))
