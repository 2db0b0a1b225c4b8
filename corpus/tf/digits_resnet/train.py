# ResNet for the 8x8 digits, blocks built by functions

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow.keras.layers import (Input, Conv2D, BatchNormalization, Activation, Add, AveragePooling2D,
                                     MaxPool2D, Flatten, Dense, ZeroPadding2D, ReLU)
from tensorflow.keras.models import Model
from tensorflow.keras.optimizers import SGD
from tensorflow.keras.regularizers import l2
from tensorflow.keras.callbacks import LearningRateScheduler

batch_size, epochs = 32, 3
n_blocks = 1          # per stage
width = 12

tf.keras.utils.set_random_seed(3)

digits = load_digits()
x = digits.images.astype('float32')[..., np.newaxis] / 16
y = digits.target.reshape(-1, 1)
x_train, x_test = x[:1400], x[1400:]
y_train, y_test = y[:1400], y[1400:]
mean_image = x_train.mean(axis=0)
x_train, x_test = x_train - mean_image, x_test - mean_image
input_shape = x_train.shape[1:]


def lr_schedule(epoch):
    return 5e-2 if epoch < 2 else 5e-3


def conv_bn(inputs, filters, kernel_size=3, strides=1, activation='relu', padding='same'):
    x = Conv2D(filters,
               kernel_size=kernel_size,
               strides=strides,
               padding=padding,
               use_bias=False,
               kernel_initializer='he_normal',
               kernel_regularizer=l2(1e-4))(inputs)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    if activation is not None:
        x = Activation(activation)(x)
    return x


def residual_block(x, filters, strides=1):
    shortcut = x
    y = conv_bn(x, filters, strides=strides)
    y = conv_bn(y, filters, activation=None)
    if strides != 1 or x.shape[-1] != filters:
        shortcut = conv_bn(x, filters, kernel_size=1, strides=strides, activation=None)
    y = Add()([shortcut, y])
    return ReLU()(y)


def build_resnet(input_shape, num_classes=10):
    filters = width
    inputs = Input(shape=input_shape)
    x = ZeroPadding2D(padding=(1, 1))(inputs)
    x = conv_bn(x, filters, padding='valid')
    for stage in range(3):
        for block in range(n_blocks):
            strides = 2 if stage and not block else 1
            x = residual_block(x, filters, strides)
        filters *= 2
    x = AveragePooling2D(pool_size=2)(x)
    y = Flatten()(x)
    outputs = Dense(num_classes, activation='softmax', kernel_initializer='he_normal')(y)
    return Model(inputs=inputs, outputs=outputs, name='resnet%d' % (n_blocks * 6 + 2))


model = build_resnet(input_shape)
model.compile(loss='sparse_categorical_crossentropy',
              optimizer=SGD(learning_rate=lr_schedule(0), momentum=0.9, nesterov=True),
              metrics=['accuracy'])
print(model.name, model.count_params(), 'parameters')

model.fit(x_train, y_train,
          batch_size=batch_size,
          epochs=epochs,
          validation_data=(x_test, y_test),
          shuffle=True,
          verbose=2,
          callbacks=[LearningRateScheduler(lr_schedule)])

scores = model.evaluate(x_test, y_test, verbose=0)
print('Test loss:', scores[0])
print('Test accuracy:', scores[1])

# features before the classifier
extractor = Model(model.input, model.layers[-2].output)
features = extractor.predict(x_test[:8], verbose=0)
print('features', features.shape, float(features.mean()))
