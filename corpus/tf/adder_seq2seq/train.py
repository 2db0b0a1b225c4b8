'''Sums of small numbers, written character by character: "14+7" -> "21".

Encoder and decoder are LSTMs; the decoder starts from the states of the encoder and is trained
with teacher forcing. For decoding the same layers are put together again, one step at a time.
'''
import numpy as np
import keras
from keras import layers

keras.utils.set_random_seed(6)

N, UNITS, EMBED = 1500, 64, 16
EPOCHS, BATCH = 10, 50
ALPHABET = ['<pad>', '<go>', '<end>'] + list('0123456789+')
PAD, GO, END = 0, 1, 2
ID = {c: i for i, c in enumerate(ALPHABET)}


def to_ids(text, length, prefix=(), suffix=()):
    ids = list(prefix) + [ID[c] for c in text] + list(suffix)
    return ids + [PAD] * (length - len(ids))


def make_problems(n):
    rng = np.random.default_rng(6)
    problems, answers = [], []
    for a, b in rng.integers(0, 25, size=(n, 2)):
        problems.append('%d+%d' % (a, b))
        answers.append('%d' % (a + b))
    return problems, answers


problems, answers = make_problems(N)
question = np.array([to_ids(p, 5) for p in problems])
answer_in = np.array([to_ids(a, 3, prefix=[GO]) for a in answers])
answer_out = np.array([to_ids(a, 3, suffix=[END]) for a in answers])
weights = (answer_out != PAD).astype('float32')        # padding does not count

# ---- layers, shared by the training graph and by the two decoding graphs
embed_q = layers.Embedding(len(ALPHABET), EMBED, mask_zero=True, name='embed_question')
embed_a = layers.Embedding(len(ALPHABET), EMBED, name='embed_answer')
reader = layers.LSTM(UNITS, return_state=True, name='reader')
writer = layers.LSTM(UNITS, return_sequences=True, return_state=True, name='writer')
to_char = layers.Dense(len(ALPHABET), activation='softmax', name='to_char')

# ---- training graph
q = keras.Input((None,), dtype='int32', name='question')
a = keras.Input((None,), dtype='int32', name='answer')
_, h, c = reader(embed_q(q))
sequence, _, _ = writer(embed_a(a), initial_state=[h, c])
trainer = keras.Model([q, a], to_char(sequence), name='trainer')

trainer.compile(
    optimizer=keras.optimizers.RMSprop(learning_rate=0.008, rho=0.9),
    loss='sparse_categorical_crossentropy',
    weighted_metrics=['sparse_categorical_accuracy'],
)
history = trainer.fit([question, answer_in], answer_out, sample_weight=weights,
                      batch_size=BATCH, epochs=EPOCHS, validation_split=0.1, verbose=0)
for epoch in history.epoch:
    print('epoch %2d' % (epoch + 1), *('%s %.4f' % (k, v[epoch]) for k, v in sorted(history.history.items())))

# ---- decoding graphs
start = keras.Model(q, [h, c])
h_in, c_in = keras.Input((UNITS,)), keras.Input((UNITS,))
sequence, h_out, c_out = writer(embed_a(a), initial_state=[h_in, c_in])
advance = keras.Model([a, h_in, c_in], [to_char(sequence), h_out, c_out])


def solve(batch, longest=3):
    """Greedy decoding of a whole batch."""
    states = start.predict_on_batch(batch)
    token = np.full((len(batch), 1), GO)
    texts = [''] * len(batch)
    finished = np.zeros(len(batch), bool)
    for _ in range(longest):
        probs, *states = advance.predict_on_batch([token, *states])
        token = probs[:, -1].argmax(-1)[:, None]
        for i, t in enumerate(token[:, 0]):
            finished[i] |= t in (END, PAD)
            if not finished[i]:
                texts[i] += ALPHABET[t]
    return texts


guesses = solve(question[-150:])
right = np.mean([g == a for g, a in zip(guesses, answers[-150:])])
off_by = [abs(int(g or 0) - int(a)) for g, a in zip(guesses, answers[-150:]) if '+' not in g]
print('new problems: %.1f%% exactly right, off by %.2f on average' % (100 * right, np.mean(off_by)))
for p, g, a in list(zip(problems[-150:], guesses, answers[-150:]))[:6]:
    print('  %5s = %-3s %s' % (p, g, 'ok' if g == a else 'no, ' + a))
