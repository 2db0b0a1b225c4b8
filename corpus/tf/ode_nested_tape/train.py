"""A network solves u'' = -u, u(0) = 0, u'(0) = 1 on [0, 4]: nested and persistent tapes."""
import numpy as np
import tensorflow as tf

tf.random.set_seed(4)
tf.keras.utils.set_random_seed(4)
DTYPE = tf.float32


class Dense(tf.Module):
    def __init__(self, n_in, n_out, name=None):
        super().__init__(name=name)
        limit = np.sqrt(6.0 / (n_in + n_out))
        self.w = tf.Variable(tf.random.uniform([n_in, n_out], -limit, limit, dtype=DTYPE), name="w")
        self.b = tf.Variable(tf.zeros([n_out], dtype=DTYPE), name="b")

    def __call__(self, x):
        return tf.matmul(x, self.w) + self.b


class Solution(tf.Module):
    """tanh network; the initial condition u(0) = 0 is built in."""

    def __init__(self, widths=(1, 24, 24, 1)):
        super().__init__()
        self.layers = [Dense(a, b, name=f"dense_{i}") for i, (a, b) in enumerate(zip(widths[:-1], widths[1:]))]

    def __call__(self, t):
        h = t / 2.0 - 1.0
        for layer in self.layers[:-1]:
            h = tf.math.tanh(layer(h))
        return t * self.layers[-1](h)


net = Solution()
# the frequency is estimated as well, from a handful of measurements
log_omega = tf.Variable(0.3, dtype=DTYPE, name="log_omega")
t_seen = tf.constant([[0.5], [1.5], [2.5], [3.5]], dtype=DTYPE)
u_seen = tf.sin(t_seen)


def residual(t):
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            u = net(t)
        du = inner.gradient(u, t)
    d2u = outer.gradient(du, t)
    omega = tf.exp(log_omega)
    return d2u + omega ** 2 * u, du


optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(0.02, 400, alpha=0.1))
omega_optimizer = tf.keras.optimizers.SGD(0.05)


@tf.function
def step(t):
    with tf.GradientTape(persistent=True) as tape:
        r, _ = residual(t)
        _, slope = residual(tf.zeros([1, 1], dtype=DTYPE))
        physics = tf.reduce_mean(tf.square(r))
        start = tf.reduce_mean(tf.square(slope - 1.0))
        data = tf.reduce_mean(tf.square(net(t_seen) - u_seen))
        loss = physics + 5.0 * start + 10.0 * data
    grads = tape.gradient(loss, net.trainable_variables)
    omega_grad = tape.gradient(physics, log_omega)
    del tape
    optimizer.apply_gradients(zip(grads, net.trainable_variables))
    omega_optimizer.apply_gradients([(omega_grad, log_omega)])
    return physics, start, data


def train(n_steps=400, n_points=32):
    for i in range(1, n_steps + 1):
        t = tf.random.uniform([n_points, 1], 0.0, 4.0, dtype=DTYPE)
        physics, start, data = step(t)
        if i % 40 == 0:
            tf.print("step", i, "physics", physics, "start", start, "data", data, "omega", tf.exp(log_omega))


train()
t = tf.reshape(tf.linspace(0.0, 4.0, 9), [-1, 1])
for a, b in zip(net(t).numpy()[:, 0], np.sin(t.numpy()[:, 0])):
    print("%+.3f  (exact %+.3f)" % (a, b))
print("variables:", [v.name for v in net.trainable_variables])

checkpoint = tf.train.Checkpoint(net=net, omega=log_omega)
path = checkpoint.write("./ode_ckpt")
before = net(t).numpy()
for v in net.trainable_variables:
    v.assign(tf.zeros_like(v))
checkpoint.read(path)
print("restored:", np.allclose(before, net(t).numpy()))
