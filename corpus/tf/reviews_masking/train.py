# Sentiment of short, made up reviews. Tokenizer by hand, pad_sequences, Embedding(mask_zero=True)
import random
import re
import numpy as np
from tensorflow import keras
from tensorflow.keras.preprocessing.sequence import pad_sequences
from tensorflow.keras import layers
from tensorflow.keras import initializers, constraints

random.seed(21); np.random.seed(21); keras.utils.set_random_seed(21)

max_features = 64
maxlen = 14
embedding_dims = 16

openers = ['I think that', 'Honestly,', 'Well...', 'My friend says', 'To be fair,', '']
things = ['the phone', 'this book', 'the hotel', 'that song', 'the meal']
good = ['is wonderful', 'works well', 'was a joy', 'made me smile', 'is great']
bad = ['is terrible', 'broke soon', 'was a pain', 'made me cry', 'is bad']
tails = ['and my dog agrees', 'as they say', 'every day', 'in the end', '', '']


def review():
    positive = random.random() < 0.5
    text = ' '.join([random.choice(openers), random.choice(things), random.choice(good if positive else bad)])
    if random.random() < 0.2:                       # "it is not true that ..." turns the meaning
        text = 'it is not true that ' + text
        positive = not positive
    return text + ' ' + random.choice(tails), int(positive)


def tokenize(text):
    return re.sub(r'[^a-z ]', '', text.lower()).split()


texts, y = zip(*[review() for _ in range(1200)])
words = {}
for t in texts:
    for w in tokenize(t):
        words[w] = words.get(w, 0) + 1
word_index = {w: i + 2 for i, w in enumerate(sorted(words, key=lambda w: (-words[w], w))) if i + 2 < max_features}
sequences = [[word_index.get(w, 1) for w in tokenize(t)] for t in texts]

x = pad_sequences(sequences, maxlen=maxlen, padding='post', truncating='post')
y = np.array(y)
x_train, x_test, y_train, y_test = x[:1000], x[1000:], y[:1000], y[1000:]
print('x_train shape:', x_train.shape, ' mean length:', np.mean([len(s) for s in sequences]))


class AttentionPool(keras.layers.Layer):
    """Weighted mean over the time axis which respects the mask."""
    def __init__(self, **kw):
        super().__init__(**kw)
        self.supports_masking = True

    def build(self, input_shape):
        self.score = self.add_weight(shape=(input_shape[-1], 1), initializer=initializers.GlorotNormal(seed=3),
                                     constraint=constraints.MaxNorm(2.), name='score')

    def call(self, h, mask=None):
        e = keras.ops.squeeze(keras.ops.matmul(h, self.score), axis=-1)
        if mask is not None:
            e = keras.ops.where(mask, e, -1e9)
        a = keras.ops.softmax(e, axis=-1)
        return keras.ops.sum(h * keras.ops.expand_dims(a, -1), axis=1)

    def compute_mask(self, inputs, mask=None):
        return None


model = keras.Sequential()
model.add(keras.Input(shape=(maxlen,)))
model.add(layers.Embedding(max_features, embedding_dims, mask_zero=True))
model.add(layers.SpatialDropout1D(0.1))
model.add(layers.LSTM(24, return_sequences=True))
model.add(AttentionPool(name='pool'))
model.add(layers.Dense(16))
model.add(layers.LeakyReLU(negative_slope=0.1))
model.add(layers.Dense(1, activation='sigmoid'))

model.compile(loss='binary_crossentropy', optimizer=keras.optimizers.Nadam(5e-3), metrics=['accuracy', keras.metrics.AUC(name='auc')])

for cycle in range(2):
    model.fit(x_train, y_train, batch_size=50, epochs=2, verbose=2)
    scores = model.test_on_batch(x_test, y_test, return_dict=True)
    print('cycle', cycle, {k: round(float(v), 4) for k, v in scores.items()})

for text in ['the meal was a joy', 'it is not true that the meal was a joy', 'this book broke soon every day']:
    seq = pad_sequences([[word_index.get(w, 1) for w in tokenize(text)]], maxlen=maxlen, padding='post')
    print('%-40s %.3f' % (text, model.predict(seq, verbose=0)[0, 0]))
