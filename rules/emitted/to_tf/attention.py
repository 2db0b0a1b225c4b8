"""Attention and transformer layers with torch's calls, masks and weight shapes."""

import math

import keras
import tensorflow as tf
from keras import layers


def gelu(x):
    """x * Phi(x), also in double precision."""
    return 0.5 * x * (1 + tf.math.erf(x / math.sqrt(2)))


def square_subsequent_mask(size):
    """0 on and below the diagonal, -inf above it: no position sees a later one."""
    ones = tf.ones([size, size], keras.config.floatx())
    return tf.math.log(tf.linalg.band_part(ones, -1, 0))


def attention_weights(scores, mask=None):
    """Softmax of scores + mask; a query that may attend to nothing gets zeros, not NaN."""
    if mask is None:
        return tf.nn.softmax(scores)
    scores = scores + mask
    nothing = tf.reduce_all(scores == -math.inf, axis=-1, keepdims=True)
    weights = tf.nn.softmax(tf.where(nothing, tf.zeros_like(scores), scores))
    return tf.where(nothing, tf.zeros_like(scores), weights)


def additive_mask(mask, dtype):
    """A mask to add to attention scores; True means ignore, as in torch.nn.MultiheadAttention."""
    mask = tf.convert_to_tensor(mask)
    if mask.dtype == tf.bool:
        mask = tf.where(mask, -math.inf, 0.0)
    return tf.cast(mask, dtype)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None
):
    """torch's function: a Boolean mask is True where attention is allowed."""
    scale = scale or 1 / math.sqrt(query.shape[-1])
    scores = tf.matmul(query, key, transpose_b=True) * scale
    if is_causal:
        attn_mask = tf.linalg.band_part(tf.ones_like(scores[:1]), -1, 0) > 0
    if attn_mask is not None:
        attn_mask = tf.convert_to_tensor(attn_mask)
        ignored = ~attn_mask if attn_mask.dtype == tf.bool else attn_mask
        attn_mask = additive_mask(ignored, scores.dtype)
    weights = attention_weights(scores, attn_mask)
    if dropout_p:
        weights = tf.nn.dropout(weights, dropout_p)
    return tf.matmul(weights, value)


class TorchMultiheadAttention(layers.Layer):
    """torch.nn.MultiheadAttention: query, key, value; True in a mask means ignore."""

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, batch_first=False, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.batch_first = batch_first
        self.in_proj_weight = self.add_weight(
            name="in_proj_weight", shape=(3 * embed_dim, embed_dim), initializer="glorot_uniform"
        )
        if bias:
            self.in_proj_bias = self.add_weight(
                name="in_proj_bias", shape=(3 * embed_dim,), initializer="zeros"
            )
        self.bias = bias
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.out_proj = layers.Dense(embed_dim, use_bias=bias, kernel_initializer=uniform)
        self.out_proj.build((None, embed_dim))
        self.dropout = layers.Dropout(dropout)

    def split_heads(self, x):
        shape = tf.shape(x)
        x = tf.reshape(x, [shape[0], shape[1], self.num_heads, x.shape[-1] // self.num_heads])
        return tf.transpose(x, [0, 2, 1, 3])

    def call(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
        training=None,
    ):
        inputs = query, key, value
        if not self.batch_first:
            inputs = [tf.transpose(x, [1, 0, 2]) for x in inputs]
        kernels = tf.split(tf.convert_to_tensor(self.in_proj_weight), 3)
        inputs = [tf.matmul(x, w, transpose_b=True) for x, w in zip(inputs, kernels)]
        if self.bias:
            biases = tf.split(tf.convert_to_tensor(self.in_proj_bias), 3)
            inputs = [x + b for x, b in zip(inputs, biases)]
        q, k, v = [self.split_heads(x) for x in inputs]
        scores = tf.matmul(q, k, transpose_b=True) / math.sqrt(q.shape[-1])
        mask = None
        if attn_mask is not None:
            mask = additive_mask(attn_mask, scores.dtype)
            if len(mask.shape) == 3:  # one mask per head
                mask = tf.reshape(mask, tf.shape(scores))
        if key_padding_mask is not None:
            padding = additive_mask(key_padding_mask, scores.dtype)[:, None, None, :]
            mask = padding if mask is None else mask + padding
        weights = self.dropout(attention_weights(scores, mask), training=training)
        outputs = tf.transpose(tf.matmul(weights, v), [0, 2, 1, 3])
        outputs = tf.reshape(outputs, tf.shape(inputs[0]))
        outputs = self.out_proj(tf.ensure_shape(outputs, inputs[0].shape))
        if not self.batch_first:
            outputs = tf.transpose(outputs, [1, 0, 2])
        if not need_weights:
            return outputs, None
        return outputs, tf.reduce_mean(weights, 1) if average_attn_weights else weights


class TransformerLayer(layers.Layer):
    """What torch's encoder and decoder layers share; copy() starts from equal weights."""

    norms = 2

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation="relu",
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
    ):
        super().__init__()
        self.arguments = [d_model, nhead, dim_feedforward, dropout, activation]
        self.arguments += [layer_norm_eps, batch_first, norm_first, bias]
        self.self_attn = TorchMultiheadAttention(d_model, nhead, dropout, bias, batch_first)
        self.linear1 = self.linear(d_model, dim_feedforward, bias)
        self.linear2 = self.linear(dim_feedforward, d_model, bias)
        for i in range(1, self.norms + 1):
            norm = layers.LayerNormalization(epsilon=layer_norm_eps, center=bias)
            norm.build((None, d_model))
            setattr(self, f"norm{i}", norm)
        self.dropout = layers.Dropout(dropout)
        self.norm_first = norm_first
        self.activation = gelu if activation == "gelu" else keras.activations.get(activation)

    def linear(self, inputs, outputs, bias):
        bound = inputs**-0.5
        layer = layers.Dense(
            outputs,
            use_bias=bias,
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        )
        layer.build((None, inputs))
        return layer

    def copy(self):
        twin = type(self)(*self.arguments)
        twin.set_weights(self.get_weights())
        return twin

    def add(self, x, norm, block, training):
        """The residual connection around a block, its norm before or after."""
        if self.norm_first:
            return x + self.dropout(block(norm(x)), training=training)
        return norm(x + self.dropout(block(x), training=training))

    def feed_forward(self, x, training):
        x = self.activation(self.linear1(x))
        return self.linear2(self.dropout(x, training=training))


class TransformerEncoderLayer(TransformerLayer):
    """torch.nn.TransformerEncoderLayer."""

    def call(self, x, src_mask=None, src_key_padding_mask=None, is_causal=False, training=None):
        options = {"need_weights": False, "training": training}

        def attend(x):
            return self.self_attn(x, x, x, src_key_padding_mask, attn_mask=src_mask, **options)[0]

        x = self.add(x, self.norm1, attend, training)
        return self.add(x, self.norm2, lambda x: self.feed_forward(x, training), training)


class TransformerDecoderLayer(TransformerLayer):
    """torch.nn.TransformerDecoderLayer."""

    norms = 3

    def __init__(self, d_model, nhead, *args, **kwargs):
        super().__init__(d_model, nhead, *args, **kwargs)
        dropout, batch_first, bias = (self.arguments[i] for i in (3, 6, 8))
        self.multihead_attn = TorchMultiheadAttention(d_model, nhead, dropout, bias, batch_first)

    def call(
        self,
        x,
        encoded,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
        training=None,
    ):
        options = {"need_weights": False, "training": training}

        def attend(x):
            return self.self_attn(x, x, x, tgt_key_padding_mask, attn_mask=tgt_mask, **options)[0]

        def look(x):
            return self.multihead_attn(
                x, encoded, encoded, memory_key_padding_mask, attn_mask=memory_mask, **options
            )[0]

        x = self.add(x, self.norm1, attend, training)
        x = self.add(x, self.norm2, look, training)
        return self.add(x, self.norm3, lambda x: self.feed_forward(x, training), training)


class TransformerEncoder(layers.Layer):
    """torch.nn.TransformerEncoder: copies of one layer, then the norm if one is given."""

    def __init__(self, encoder_layer, num_layers, norm=None, **kwargs):
        super().__init__(**kwargs)
        self.layers = [encoder_layer.copy() for _ in range(num_layers)]
        self.norm = norm

    def call(self, x, src_mask=None, src_key_padding_mask=None, is_causal=None, training=None):
        for layer in self.layers:
            x = layer(x, src_mask, src_key_padding_mask, training=training)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(layers.Layer):
    """torch.nn.TransformerDecoder: copies of one layer, then the norm if one is given."""

    def __init__(self, decoder_layer, num_layers, norm=None, **kwargs):
        super().__init__(**kwargs)
        self.layers = [decoder_layer.copy() for _ in range(num_layers)]
        self.norm = norm

    def call(
        self,
        x,
        encoded,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
        training=None,
    ):
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            x = layer(x, encoded, *masks, training=training)
        return x if self.norm is None else self.norm(x)


class Transformer(layers.Layer):
    """torch.nn.Transformer: encoder and decoder, each with a final norm."""

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation="relu",
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
    ):
        super().__init__()
        options = [d_model, nhead, dim_feedforward, dropout, activation]
        options += [layer_norm_eps, batch_first, norm_first, bias]
        norms = [layers.LayerNormalization(epsilon=layer_norm_eps, center=bias) for _ in range(2)]
        for norm in norms:
            norm.build((None, d_model))
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options), num_encoder_layers, norms[0]
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options), num_decoder_layers, norms[1]
        )
        for weight in self.trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(keras.initializers.GlorotUniform()(weight.shape, weight.dtype))

    def call(
        self,
        source,
        target,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        training=None,
    ):
        memory = self.encoder(source, src_mask, src_key_padding_mask, training=training)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(target, memory, *masks, training=training)
