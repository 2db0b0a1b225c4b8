"""CNN for the handwritten digits of scikit-learn, as small as possible."""
import matplotlib
matplotlib.use('Agg')
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Conv2D, MaxPooling2D, Flatten, Dense, Dropout
from tensorflow.keras.utils import to_categorical, set_random_seed

set_random_seed(1)

BATCH = 64
EPOCHS = 4

# the images are 8x8; blow them up to 28x28 (and pad) to look like the real thing
digits = load_digits()
images = digits.images.repeat(3, axis=1).repeat(3, axis=2)
images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
print(images.shape)

x_train, x_test, y_train, y_test = train_test_split(images, digits.target, test_size=0.2, random_state=0)
x_train = x_train.reshape(x_train.shape[0], 28, 28, 1).astype('float32')
x_test = x_test.reshape(x_test.shape[0], 28, 28, 1).astype('float32')
x_train /= 16
x_test /= 16
print(len(x_train), 'for training,', len(x_test), 'for testing')

# one-hot labels
y_train = to_categorical(y_train, 10)
y_test = to_categorical(y_test, 10)

model = Sequential()
model.add(Conv2D(32, (3, 3), activation='relu', input_shape=(28, 28, 1)))
model.add(MaxPooling2D((2, 2)))
model.add(Flatten())
model.add(Dense(32, activation='relu'))
model.add(Dropout(0.25))
model.add(Dense(10, activation='softmax'))

model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])
model.summary()

history = model.fit(x_train, y_train,
                    batch_size=BATCH,
                    epochs=EPOCHS,
                    verbose=2,
                    validation_data=(x_test, y_test))

score = model.evaluate(x_test, y_test, verbose=0)
print('Test loss:', score[0])
print('Test accuracy:', score[1])

# some predictions
preds = model.predict(x_test[:10])
print('predicted:', np.argmax(preds, axis=1))
print('true:     ', np.argmax(y_test[:10], axis=1))

import matplotlib.pyplot as plt
plt.plot(history.history['accuracy'])
plt.plot(history.history['val_accuracy'])
plt.title('digits, small CNN')
plt.xlabel('epoch')
plt.legend(['train', 'test'], loc='upper left')
plt.savefig('accuracy.png')

model.save('digits_cnn.keras')
