# simple, sparse, convolutional: three autoencoders for the 8x8 digits
import numpy as np
from sklearn.datasets import load_digits
import tensorflow as tf
from tensorflow.keras import regularizers, losses
from tensorflow.keras.layers import Input, Dense, Conv2D, UpSampling2D, MaxPooling2D, Conv2DTranspose, Reshape, Flatten
from tensorflow.keras.models import Model, Sequential

tf.keras.utils.set_random_seed(90)
encoding_dim = 12

data, _ = load_digits(return_X_y=True)
data = data.astype('float32') / 16.
x_train, x_test = data[:1500], data[1500:]

# ---------------------------------------------------------------- 1. simple
input_img = Input(shape=(64,))
encoded = Dense(encoding_dim, activation='relu')(input_img)
decoded = Dense(64, activation='sigmoid')(encoded)

autoencoder = Model(input_img, decoded)          # image -> reconstruction
encoder = Model(input_img, encoded)              # image -> code
encoded_input = Input(shape=(encoding_dim,))
decoder = Model(encoded_input, autoencoder.layers[-1](encoded_input))    # code -> image, shared layer

autoencoder.compile(optimizer='adam', loss='binary_crossentropy')
autoencoder.fit(x_train, x_train, epochs=4, batch_size=64, shuffle=True, validation_data=(x_test, x_test), verbose=2)

codes = encoder.predict(x_test, verbose=0)
again = decoder.predict(codes, verbose=0)
print('two halves agree:', np.allclose(again, autoencoder.predict(x_test, verbose=0), atol=1e-6))

# ---------------------------------------------------------------- 2. sparse and deep
sparse = Sequential([
    Input((64,)),
    Dense(48, activation='relu'),
    Dense(encoding_dim, activation='relu', activity_regularizer=regularizers.l1(1e-5)),
    Dense(48, activation='relu', kernel_regularizer=regularizers.L1L2(l1=1e-6, l2=1e-5)),
    Dense(64, activation='sigmoid'),
])
sparse.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate=0.1), loss=losses.MeanAbsoluteError())
sparse.fit(x_train, x_train, epochs=3, batch_size=64, verbose=2)


# ---------------------------------------------------------------- 3. convolutional, denoising
class Denoise(Model):
    def __init__(self):
        super(Denoise, self).__init__()
        self.encoder = tf.keras.Sequential([
            Reshape((8, 8, 1)),
            Conv2D(16, (3, 3), activation='relu', padding='same', strides=2),
            Conv2D(8, (3, 3), activation='relu', padding='same'),
            MaxPooling2D((2, 2), padding='same')])
        self.decoder = tf.keras.Sequential([
            Conv2DTranspose(8, kernel_size=3, strides=2, activation='relu', padding='same'),
            UpSampling2D((2, 2)),
            Conv2D(1, kernel_size=(3, 3), activation='sigmoid', padding='same'),
            Flatten()])

    def call(self, x):
        encoded = self.encoder(x)
        decoded = self.decoder(encoded)
        return decoded


noise_factor = 0.5
noisy = lambda x: tf.clip_by_value(x + noise_factor * tf.random.normal(shape=x.shape), 0., 1.).numpy()
x_train_noisy, x_test_noisy = noisy(x_train), noisy(x_test)

denoise = Denoise()
denoise.compile(optimizer=tf.keras.optimizers.Adam(0.003), loss=losses.MeanSquaredError())
denoise.fit(x_train_noisy, x_train, epochs=8, shuffle=True, validation_data=(x_test_noisy, x_test), verbose=2)
denoise.encoder.summary()

restored = denoise.decoder(denoise.encoder(x_test_noisy)).numpy()
print('mse of the noisy images    %.4f' % np.mean((x_test_noisy - x_test) ** 2))
print('mse of the restored images %.4f' % np.mean((restored - x_test) ** 2))
