import random
from collections import deque

import numpy as np
import tensorflow as tf
from tensorflow.keras import Sequential
from tensorflow.keras.layers import Dense, Flatten, Input
from tensorflow.keras.losses import Huber
from tensorflow.keras.optimizers import Adam

tf.keras.utils.set_random_seed(0)


class GridWorld:
    '''4x4 grid, a goal and a pit. Actions: up, down, left, right'''
    MOVES = [(-1, 0), (1, 0), (0, -1), (0, 1)]

    def __init__(self, size=4, limit=20):
        self.size = size
        self.limit = limit
        self.goal = (size - 1, size - 1)
        self.pit = (1, 2)

    def reset(self):
        self.steps = 0
        while True:
            self.pos = (random.randrange(self.size), random.randrange(self.size))
            if self.pos not in (self.goal, self.pit):
                return self.state()

    def state(self):
        s = np.zeros((self.size, self.size), dtype=np.float32)
        s[self.pos] = 1.0
        return s

    def step(self, action):
        dy, dx = self.MOVES[action]
        y = min(max(self.pos[0] + dy, 0), self.size - 1)
        x = min(max(self.pos[1] + dx, 0), self.size - 1)
        self.pos = (y, x)
        self.steps += 1
        if self.pos == self.goal:
            return self.state(), 1.0, True
        if self.pos == self.pit:
            return self.state(), -1.0, True
        return self.state(), -0.04, self.steps >= self.limit


class Memory:
    def __init__(self, capacity=2000):
        self.buffer = deque(maxlen=capacity)

    def push(self, *transition):
        self.buffer.append(transition)

    def sample(self, n):
        batch = random.sample(self.buffer, n)
        s, a, r, s2, d = map(np.array, zip(*batch))
        return s, a.astype(np.int32), r.astype(np.float32), s2, d.astype(np.float32)

    def __len__(self):
        return len(self.buffer)


class Agent:
    def __init__(self, n_actions=4, gamma=0.95, tau=0.05):
        self.n_actions = n_actions
        self.gamma = gamma
        self.tau = tau
        self.epsilon = 1.0
        self.net = self.q_network()
        self.judge = self.q_network()
        self.judge.set_weights(self.net.get_weights())
        self.optimizer = Adam(0.004)
        self.loss = Huber(delta=1.0)

    def q_network(self):
        return Sequential([
            Input((4, 4)),
            Flatten(),
            Dense(32, activation='relu'),
            Dense(32, activation='relu'),
            Dense(self.n_actions),
        ])

    def act(self, state):
        self.epsilon = max(self.epsilon * 0.99, 0.05)
        if np.random.random() < self.epsilon:
            return random.randint(0, self.n_actions - 1)
        q_value = self.net(state[np.newaxis])[0]
        return int(np.argmax(q_value))

    @tf.function
    def learn(self, states, actions, rewards, next_states, dones):
        # double q-learning: the online network chooses, the target network judges
        best = tf.argmax(self.net(next_states), axis=1)
        next_q = tf.gather(self.judge(next_states), best, axis=1, batch_dims=1)
        targets = rewards + (1. - dones) * self.gamma * next_q
        with tf.GradientTape() as tape:
            q = self.net(states)
            chosen = tf.reduce_sum(q * tf.one_hot(actions, self.n_actions), axis=1)
            loss = self.loss(tf.stop_gradient(targets), chosen)
        grads = tape.gradient(loss, self.net.trainable_variables)
        grads = [tf.clip_by_norm(g, 1.0) for g in grads]
        self.optimizer.apply_gradients(zip(grads, self.net.trainable_variables))
        return loss

    def soft_update(self):
        for t, w in zip(self.judge.weights, self.net.weights):
            t.assign(self.tau * w + (1 - self.tau) * t)


def main(max_episodes=100, batch=32):
    env, agent, memory = GridWorld(), Agent(), Memory()
    rewards, losses = [], []
    for ep in range(max_episodes):
        done, total_reward = False, 0
        state = env.reset()
        while not done:
            action = agent.act(state)
            next_state, reward, done = env.step(action)
            memory.push(state, action, reward, next_state, done)
            total_reward += reward
            state = next_state
            if len(memory) >= 4 * batch:
                losses.append(float(agent.learn(*memory.sample(batch))))
                agent.soft_update()
        rewards.append(total_reward)
        if (ep + 1) % 10 == 0:
            print('episode {:3d}: mean reward {:6.3f}, loss {:.4f}, epsilon {:.3f}'.format(
                ep + 1, np.mean(rewards[-10:]), np.mean(losses[-50:]) if losses else float('nan'), agent.epsilon))

    arrows = '^v<>'
    for y in range(env.size):
        line = ''
        for x in range(env.size):
            env.pos = (y, x)
            line += 'G' if env.pos == env.goal else 'X' if env.pos == env.pit else \
                arrows[int(tf.argmax(agent.net(env.state()[None])[0]))]
        print(line)


if __name__ == "__main__":
    main()
