import random
from collections import deque

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def huber(y_true, y_pred, delta=1.0):
    """keras.losses.huber: the mean over the last axis."""
    return F.huber_loss(
        y_pred, like(y_true, y_pred), delta=delta, reduction="none"
    ).mean(-1)


class MeanLoss:
    """A loss called as those of keras.losses: targets first, the mean over all examples."""

    def __init__(self, function, reduction="mean", **options):
        self.function = function
        self.reduction = reduction
        self.options = options

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.function(y_true, y_pred, **self.options)
        if sample_weight is not None:
            weights = torch.as_tensor(
                sample_weight, dtype=losses.dtype, device=losses.device
            )
            if weights.dim() == losses.dim() + 1:
                weights = weights.squeeze(-1)
            losses = losses * weights.reshape(
                weights.shape + (1,) * (losses.dim() - weights.dim())
            )
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        ignored = self.options.get("ignore_class")
        if ignored is None:
            return losses.mean()
        kept = (torch.as_tensor(y_true) != ignored).sum()  # the mean is over these only
        return losses.sum() / kept.clamp_min(1)


def gather_batched(x, indices, axis, batch_dims):
    """tf.gather(batch_dims=...): each row of the batch has its own indices."""
    if batch_dims == 0:
        picked = x.index_select(axis, indices.reshape(-1).long())
        return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    rows = [gather_batched(a, i, axis - 1, batch_dims - 1) for a, i in zip(x, indices)]
    return torch.stack(rows)


random.seed(0)
np.random.seed(0)
torch.manual_seed(0)


class GridWorld:
    """4x4 grid, a goal and a pit. Actions: up, down, left, right"""

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
        self.judge.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.004, eps=1e-7)
        self.loss = MeanLoss(huber, delta=1.0)

    def q_network(self):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(16, 32),
            nn.ReLU(),
            nn.Linear(32, 32),
            nn.ReLU(),
            nn.Linear(32, self.n_actions),
        )

    @torch.no_grad()
    def act(self, state):
        self.epsilon = max(self.epsilon * 0.99, 0.05)
        if np.random.random() < self.epsilon:
            return random.randint(0, self.n_actions - 1)
        q_value = self.net(torch.as_tensor(state[np.newaxis], dtype=torch.float32))[0]
        return int(np.argmax(q_value.detach().cpu().numpy()))

    def learn(self, states, actions, rewards, next_states, dones):
        states = torch.as_tensor(states, dtype=torch.float32)
        rewards = torch.as_tensor(rewards)
        next_states = torch.as_tensor(next_states, dtype=torch.float32)
        dones = torch.as_tensor(dones)
        with torch.no_grad():
            # double q-learning: the online network chooses, the target network judges
            best = torch.argmax(self.net(next_states), dim=1)
            next_q = gather_batched(self.judge(next_states), best, 1, 1)
        targets = (
            torch.as_tensor(rewards)
            + torch.as_tensor((1.0 - dones) * self.gamma) * next_q
        )
        q = self.net(states)
        chosen = torch.sum(
            q * F.one_hot(torch.as_tensor(actions).long(), self.n_actions).float(),
            dim=1,
        )
        loss = self.loss(targets.detach(), chosen)
        self.optimizer.zero_grad()
        loss.backward()
        for p in self.net.parameters():
            nn.utils.clip_grad_norm_(p, 1.0)
        self.optimizer.step()
        return loss.detach()

    def soft_update(self):
        for t, w in zip(self.judge.parameters(), self.net.parameters()):
            with torch.no_grad():
                t.copy_(self.tau * w + (1 - self.tau) * t)


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
            print(
                "episode {:3d}: mean reward {:6.3f}, loss {:.4f}, epsilon {:.3f}".format(
                    ep + 1,
                    np.mean(rewards[-10:]),
                    np.mean(losses[-50:]) if losses else float("nan"),
                    agent.epsilon,
                )
            )

    arrows = "^v<>"
    for y in range(env.size):
        line = ""
        for x in range(env.size):
            env.pos = (y, x)
            line += (
                "G"
                if env.pos == env.goal
                else (
                    "X"
                    if env.pos == env.pit
                    else arrows[
                        int(
                            torch.argmax(
                                agent.net(
                                    torch.as_tensor(
                                        env.state()[None], dtype=torch.float32
                                    )
                                )[0],
                                dim=0,
                            )
                        )
                    ]
                )
            )
        print(line)


if __name__ == "__main__":
    main()
