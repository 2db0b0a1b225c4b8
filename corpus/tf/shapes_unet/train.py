# coding: utf-8
# Little U-Net on synthetic cells: Conv2D, dilated, Conv2DTranspose, concatenate, dice loss

import os
import numpy as np
import tensorflow as tf
from tensorflow.keras.models import Model
from tensorflow.keras.layers import Input, Dropout, Lambda, Conv2D, Conv2DTranspose, MaxPooling2D, concatenate, Cropping2D, ZeroPadding2D, PReLU
from tensorflow.keras.callbacks import EarlyStopping, ModelCheckpoint, TerminateOnNaN
from tensorflow.keras import backend as K

IMG_WIDTH = IMG_HEIGHT = 24
IMG_CHANNELS = 1
seed = 42
tf.keras.utils.set_random_seed(seed)


def cells(n):
    X = np.zeros((n, IMG_HEIGHT, IMG_WIDTH, IMG_CHANNELS), dtype=np.uint8)
    Y = np.zeros((n, IMG_HEIGHT, IMG_WIDTH, 1), dtype=bool)
    yy, xx = np.mgrid[:IMG_HEIGHT, :IMG_WIDTH]
    for k in range(n):
        img = np.random.normal(60, 20, (IMG_HEIGHT, IMG_WIDTH))
        for _ in range(np.random.randint(1, 4)):
            cy, cx = np.random.randint(4, 20, 2)
            a, b = np.random.uniform(2.5, 5, 2)
            inside = ((yy - cy) / a) ** 2 + ((xx - cx) / b) ** 2 <= 1
            img[inside] += 80
            Y[k, inside, 0] = True
        X[k, ..., 0] = np.clip(img, 0, 255)
    return X, Y


X_train, Y_train = cells(200)
X_test, Y_test = cells(40)
print('Done!', X_train.shape, X_train.dtype, Y_train.mean())


# Define IoU metric
def mean_iou(y_true, y_pred):
    y_true = tf.cast(y_true, tf.float32)
    y_pred_ = tf.cast(y_pred > 0.5, tf.float32)
    inter = tf.reduce_sum(y_true * y_pred_, axis=(1, 2, 3))
    union = tf.reduce_sum(tf.maximum(y_true, y_pred_), axis=(1, 2, 3))
    return tf.reduce_mean((inter + 1.) / (union + 1.))


def dice_coef(y_true, y_pred, smooth=1.):
    y_true_f = tf.reshape(tf.cast(y_true, tf.float32), [-1])
    y_pred_f = tf.reshape(y_pred, [-1])
    intersection = tf.reduce_sum(y_true_f * y_pred_f)
    return (2. * intersection + smooth) / (tf.reduce_sum(y_true_f) + tf.reduce_sum(y_pred_f) + smooth)


def bce_dice_loss(y_true, y_pred):
    bce = tf.keras.losses.binary_crossentropy(tf.cast(y_true, y_pred.dtype), y_pred)
    return tf.reduce_mean(bce) + 0.5 * (1. - dice_coef(y_true, y_pred))


# Build U-Net model
inputs = Input((IMG_HEIGHT, IMG_WIDTH, IMG_CHANNELS))
s = Lambda(lambda x: x / 255)(inputs)

c1 = Conv2D(8, (3, 3), activation='elu', kernel_initializer='he_normal', padding='same')(s)
c1 = Dropout(0.1)(c1)
c1 = Conv2D(8, (3, 3), activation='elu', kernel_initializer='he_normal', padding='same')(c1)
p1 = MaxPooling2D((2, 2))(c1)

c2 = Conv2D(16, (3, 3), activation='elu', kernel_initializer='he_normal', padding='same')(p1)
c2 = Dropout(0.1)(c2)
c2 = Conv2D(16, (3, 3), kernel_initializer='he_normal', padding='same')(c2)
c2 = PReLU(shared_axes=[1, 2])(c2)
p2 = Conv2D(16, 3, strides=2, padding='same', activation='relu')(c2)

c3 = Conv2D(32, (3, 3), dilation_rate=2, activation='elu', padding='same')(p2)
c3 = Dropout(0.2)(c3)
c3 = Conv2D(32, (3, 3), groups=4, activation='elu', padding='same')(c3)

u4 = Conv2DTranspose(16, (2, 2), strides=(2, 2), padding='same')(c3)
u4 = concatenate([u4, c2])
c4 = Conv2D(16, (3, 3), activation='elu', kernel_initializer='he_normal', padding='same')(u4)

u5 = Conv2DTranspose(8, (3, 3), strides=(2, 2), padding='valid')(c4)       # 25 x 25
u5 = Cropping2D(((0, 1), (0, 1)))(u5)
u5 = concatenate([u5, c1], axis=3)
c5 = ZeroPadding2D(1)(u5)
c5 = Conv2D(8, (3, 3), activation='elu', kernel_initializer='he_normal')(c5)

outputs = Conv2D(1, (1, 1), activation='sigmoid')(c5)

model = Model(inputs=[inputs], outputs=[outputs])
model.compile(optimizer='adam', loss=bce_dice_loss, metrics=[mean_iou, dice_coef])
model.optimizer.learning_rate = 0.004
print(model.count_params(), 'weights, epsilon', K.epsilon())

# Fit model
earlystopper = EarlyStopping(patience=3, verbose=1)
checkpointer = ModelCheckpoint('model-cells.weights.h5', verbose=0, save_best_only=True, save_weights_only=True)
results = model.fit(X_train, Y_train, validation_split=0.1, batch_size=16, epochs=6,
                    callbacks=[earlystopper, checkpointer, TerminateOnNaN()], verbose=2)

# Predict on train, val and test
if os.path.exists('model-cells.weights.h5'):
    model.load_weights('model-cells.weights.h5')
preds_test = model.predict(X_test, verbose=0)
preds_test_t = (preds_test > 0.5).astype(np.uint8)
print('pixel accuracy on the test images: %.4f' % (preds_test_t == Y_test).mean())
print('test:', [round(float(v), 4) for v in model.evaluate(X_test, Y_test, verbose=0)])
