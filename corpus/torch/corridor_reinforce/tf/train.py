# Policy gradient (REINFORCE) with a learned baseline on a hand written corridor world.
# One update per batch of complete episodes.
import numpy as np
import math
import keras
import tensorflow as tf
from keras import layers


class Categorical:
    """A choice among the last axis, as torch.distributions.Categorical."""

    def __init__(self, probs=None, logits=None):
        if probs is not None:
            probs = probs / tf.reduce_sum(probs, axis=-1, keepdims=True)
            epsilon = 1.1920928955078125e-07 if probs.dtype == tf.float32 else 2**-52
            self.probs = probs
            self.logits = tf.math.log(tf.clip_by_value(probs, epsilon, 1 - epsilon))
        else:
            self.logits = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
            self.probs = tf.nn.softmax(logits)

    def sample(self, sample_shape=()):
        """Indices, drawn with the given chances."""
        sample_shape = list(sample_shape)
        shape = tf.shape(self.logits)
        draws = tf.random.categorical(
            tf.reshape(self.logits, [-1, shape[-1]]),
            math.prod(sample_shape),
            dtype=tf.int64,
        )
        return tf.reshape(
            tf.transpose(draws), tf.concat([sample_shape, shape[:-1]], axis=0)
        )

    def log_prob(self, value):
        chosen = tf.one_hot(
            tf.cast(value, tf.int64), tf.shape(self.logits)[-1], dtype=self.logits.dtype
        )
        return tf.reduce_sum(chosen * self.logits, axis=-1)

    def entropy(self):
        logits = tf.maximum(self.logits, self.logits.dtype.min)
        return -tf.reduce_sum(logits * self.probs, axis=-1)


def variance(x, axis=None, correction=1, keepdims=False):
    """torch.var: divides by n - 1."""
    result = tf.math.reduce_variance(x, axis, keepdims)
    count = tf.cast(tf.size(x), x.dtype) / tf.cast(tf.size(result), x.dtype)
    return result * count / (count - correction)


def standard_deviation(x, axis=None, correction=1, keepdims=False):
    """torch.std: divides by n - 1; no gradient, rather than NaN, where it is 0."""
    square = variance(x, axis, correction, keepdims)
    safe = tf.where(square > 0, square, tf.ones_like(square))
    return tf.where(square > 0, tf.sqrt(safe), tf.zeros_like(square))


SEED = 543
UPDATES = 60
EPISODES_PER_UPDATE = 8
DISCOUNT = 0.97
VALUE_COEF, ENTROPY_COEF = 0.5, 0.01


class Corridor:
    """Walk to the door. The walker sees where it is and how far the door is, but not well."""

    LEFT, STAY, RIGHT = range(3)

    def __init__(self, length=9, time_limit=25, seed=0):
        self.length = length
        self.time_limit = time_limit
        self.rng = np.random.RandomState(seed)

    def observe(self):
        gap = (self.door - self.where) / self.length
        return np.array([self.where / self.length, gap + 0.02 * self.rng.randn(), 1.0])

    def reset(self):
        self.where, self.door = self.rng.choice(self.length, size=2, replace=False)
        self.clock = 0
        return self.observe()

    def step(self, action):
        self.where = int(np.clip(self.where + action - 1, 0, self.length - 1))
        self.clock += 1
        arrived = self.where == self.door
        reward = 1.0 if arrived else -0.05
        return self.observe(), reward, arrived or self.clock >= self.time_limit


class ActorCritic(keras.Model):
    def __init__(self, obs_dim, n_actions, hidden=32):
        super(ActorCritic, self).__init__()
        self.body = layers.Dense(hidden)
        self.actor = layers.Dense(n_actions)
        self.critic = layers.Dense(1)
        # near-uniform policy in the beginning
        self.actor.kernel_initializer = keras.initializers.RandomUniform(-3e-3, 3e-3)

    def call(self, obs):
        h = tf.nn.relu(self.body(obs))
        return self.actor(h), self.critic(h)


def rollout(env, net, greedy=False):
    observations, actions, rewards = [], [], []
    obs, over = env.reset(), False
    while not over:
        logits, _ = net(tf.expand_dims(tf.cast(obs, tf.float32), 0))
        if greedy:
            action = tf.argmax(logits, axis=1).numpy().item()
        else:
            action = Categorical(logits=logits).sample().numpy().item()
        observations.append(obs)
        actions.append(action)
        obs, reward, over = env.step(action)
        rewards.append(reward)
    return observations, actions, rewards


def discounted(rewards):
    out = np.zeros(len(rewards), dtype=np.float32)
    acc = 0.0
    for t in reversed(range(len(rewards))):
        acc = rewards[t] + DISCOUNT * acc
        out[t] = acc
    return out


@tf.function
def train_step(net, optimizer, obs, ret, act):

    with tf.GradientTape() as tape:
        logits, value = net(obs)
        value = tf.squeeze(value, axis=1)
        dist = Categorical(logits=logits)
        advantage = ret - tf.stop_gradient(value)
        advantage = (advantage - tf.reduce_mean(advantage)) / (
            standard_deviation(advantage) + 1e-8
        )

        policy_loss = -tf.reduce_mean(dist.log_prob(act) * advantage)
        value_loss = tf.reduce_mean(tf.square(value - ret))
        entropy = tf.reduce_mean(dist.entropy())
        loss = policy_loss + VALUE_COEF * value_loss - ENTROPY_COEF * entropy
    gradients = tape.gradient(loss, net.trainable_variables)
    gradients, _ = tf.clip_by_global_norm(gradients, 0.5)
    optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    return policy_loss, value_loss, entropy


def update(net, optimizer, episodes):
    obs = tf.constant(np.concatenate([e[0] for e in episodes]), dtype=tf.float32)
    act = tf.constant(np.concatenate([e[1] for e in episodes]), dtype=tf.int64)
    ret = tf.convert_to_tensor(np.concatenate([discounted(e[2]) for e in episodes]))
    policy_loss, value_loss, entropy = train_step(net, optimizer, obs, ret, act)
    return float(policy_loss), float(value_loss), float(entropy)


if __name__ == "__main__":
    tf.random.set_seed(SEED)
    env = Corridor(seed=SEED)
    net = ActorCritic(3, 3)
    optimizer = keras.optimizers.Adam(learning_rate=0.02, epsilon=1e-08)

    for k in range(1, UPDATES + 1):
        episodes = [rollout(env, net) for _ in range(EPISODES_PER_UPDATE)]
        pl, vl, ent = update(net, optimizer, episodes)
        if k % 5 == 0:
            score = np.mean([sum(e[2]) for e in episodes])
            steps = np.mean([len(e[2]) for e in episodes])
            print(
                "update {:3d}  return {:6.3f}  steps {:5.1f}  policy {:7.4f}  value {:.4f}  entropy {:.3f}".format(
                    k, score, steps, pl, vl, ent
                )
            )

    for _ in range(3):
        _, acts, rew = rollout(env, net, greedy=True)
        print(
            "greedy:",
            "".join("<.>"[a] for a in acts),
            "arrived" if rew[-1] > 0 else "lost",
        )
