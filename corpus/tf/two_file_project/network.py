import tensorflow as tf
from tensorflow.keras import Model
from tensorflow.keras.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    Layer,
    Multiply,
    Reshape,
)


class SqueezeExcite(Layer):
    def __init__(self, ratio=4, **kwargs):
        super(SqueezeExcite, self).__init__(**kwargs)
        self.ratio = ratio

    def build(self, input_shape):
        channels = input_shape[-1]
        self.pool = GlobalAveragePooling2D()
        self.down = Dense(max(1, channels // self.ratio), activation="relu")
        self.up = Dense(channels, activation="sigmoid")
        self.shape_up = Reshape((1, 1, channels))
        self.scale = Multiply()

    def call(self, x):
        w = self.shape_up(self.up(self.down(self.pool(x))))
        return self.scale([x, w])


class InvertedResidual(Layer):
    def __init__(self, filters, stride=1, expand=2, **kwargs):
        super(InvertedResidual, self).__init__(**kwargs)
        self.filters, self.stride, self.expand = filters, stride, expand

    def build(self, input_shape):
        c = input_shape[-1]
        self.conv1 = Conv2D(c * self.expand, 1, use_bias=False)
        self.bn1 = BatchNormalization(momentum=0.9)
        self.dw = DepthwiseConv2D(3, strides=self.stride, padding="same", use_bias=False)
        self.bn2 = BatchNormalization(momentum=0.9)
        self.se = SqueezeExcite()
        self.conv2 = Conv2D(self.filters, 1, use_bias=False)
        self.bn3 = BatchNormalization(momentum=0.9)
        self.skip = self.stride == 1 and c == self.filters

    def call(self, x, training=False):
        y = tf.nn.relu6(self.bn1(self.conv1(x), training=training))
        y = tf.nn.relu6(self.bn2(self.dw(y), training=training))
        y = self.se(y)
        y = self.bn3(self.conv2(y), training=training)
        return x + y if self.skip else y


class BirdNet(Model):
    def __init__(self, num_classes, widths=(8, 16, 16)):
        super(BirdNet, self).__init__()
        self.stem = Conv2D(widths[0], 3, padding="same", activation="relu")
        self.body = [InvertedResidual(w, stride=2 if i < 2 else 1) for i, w in enumerate(widths)]
        self.pool = GlobalAveragePooling2D()
        self.out = Dense(num_classes)

    def call(self, x, training=False):
        x = self.stem(x)
        for block in self.body:
            x = block(x, training=training)
        return self.out(self.pool(x))
