"""Neural matrix factorisation: embeddings, Dot, Concatenate; ratings are generated."""
import collections
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import pandas as pd
from tensorflow.keras.layers import Add, BatchNormalization, Concatenate, Dense, Dot, Dropout, Embedding, Flatten, Input, Multiply
from tensorflow.keras.models import Model, load_model
from tensorflow.keras.regularizers import l2
from tensorflow.keras.utils import set_random_seed
from tensorflow.keras import activations, optimizers

Config = collections.namedtuple("Config", "n_users n_movies n_ratings k batch epochs seed")
cfg = Config(n_users=150, n_movies=90, n_ratings=5000, k=6, batch=64, epochs=5, seed=12)


def ratings_frame(cfg):
    rng = np.random.RandomState(cfg.seed)
    taste = rng.normal(0, 1, (cfg.n_users, 2))
    genre = rng.normal(0, 1, (cfg.n_movies, 2))
    df = pd.DataFrame({
        "userId": rng.randint(0, cfg.n_users, cfg.n_ratings),
        "movieId": rng.randint(0, cfg.n_movies, cfg.n_ratings),
    }).drop_duplicates().reset_index(drop=True)
    score = (taste[df.userId] * genre[df.movieId]).sum(axis=1) + 0.5 * rng.normal(size=len(df))
    df["rating"] = np.clip(np.round(3.2 + score), 1, 5)
    return df


def build(cfg):
    u = Input(shape=(1,), name="user")
    m = Input(shape=(1,), name="movie")

    def vector(x, n, dim, name):
        e = Embedding(n, dim, embeddings_initializer="he_normal", embeddings_regularizer=l2(1e-6), name=name)(x)
        return Flatten()(e)

    # linear part
    dot = Dot(axes=1)([vector(u, cfg.n_users, cfg.k, "user_gmf"), vector(m, cfg.n_movies, cfg.k, "movie_gmf")])
    bias = Add()([vector(u, cfg.n_users, 1, "user_bias"), vector(m, cfg.n_movies, 1, "movie_bias")])

    # deep part
    a, b = vector(u, cfg.n_users, cfg.k, "user_mlp"), vector(m, cfg.n_movies, cfg.k, "movie_mlp")
    h = Concatenate()([a, b, Multiply()([a, b])])
    for width in [24, 12]:
        h = Dense(width, activation=activations.relu)(h)
        h = BatchNormalization()(h)
        h = Dropout(0.1)(h)
    deep = Dense(1)(h)

    total = Add()([dot, bias, deep])
    return Model([u, m], Dense(1, kernel_initializer="ones", name="rating")(total), name="neumf")


set_random_seed(cfg.seed)
df = ratings_frame(cfg)
print(df.describe().loc[["count", "mean", "std"]].round(2))
test = df.sample(frac=0.15, random_state=cfg.seed)
train = df.drop(test.index)
mean = train.rating.mean()

model = build(cfg)
model.compile(loss="mse", optimizer=optimizers.Adamax(learning_rate=0.02), metrics=["mae"])
history = model.fit(
    x=[train.userId.values, train.movieId.values],
    y=train.rating.values - mean,
    batch_size=cfg.batch,
    epochs=cfg.epochs,
    verbose=2,
    validation_data=([test.userId.values, test.movieId.values], test.rating.values - mean),
)
print("val mae by epoch:", np.round(history.history["val_mae"], 3), "constant:", round((test.rating - mean).abs().mean(), 3))

model.save("neumf.h5")
again = load_model("neumf.h5", compile=False)
user = 7
scores = again.predict([np.full(cfg.n_movies, user), np.arange(cfg.n_movies)], verbose=0).ravel() + mean
unseen = np.setdiff1d(np.arange(cfg.n_movies), train[train.userId == user].movieId)
top = unseen[np.argsort(-scores[unseen])][:5]
print("for user %d: %s" % (user, ", ".join("%d (%.2f)" % (i, scores[i]) for i in top)))

vectors = model.get_layer("movie_gmf").get_weights()[0]
print("movie vectors", vectors.shape, "norm", round(float(np.linalg.norm(vectors, axis=1).mean()), 3))
