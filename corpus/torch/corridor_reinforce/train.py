# Policy gradient (REINFORCE) with a learned baseline on a hand written corridor world.
# One update per batch of complete episodes.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

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


class ActorCritic(nn.Module):
    def __init__(self, obs_dim, n_actions, hidden=32):
        super(ActorCritic, self).__init__()
        self.body = nn.Linear(obs_dim, hidden)
        self.actor = nn.Linear(hidden, n_actions)
        self.critic = nn.Linear(hidden, 1)
        # near-uniform policy in the beginning
        nn.init.uniform_(self.actor.weight, -3e-3, 3e-3)

    def forward(self, obs):
        h = F.relu(self.body(obs))
        return self.actor(h), self.critic(h)


def rollout(env, net, greedy=False):
    observations, actions, rewards = [], [], []
    obs, over = env.reset(), False
    while not over:
        with torch.no_grad():
            logits, _ = net(torch.from_numpy(obs).float().unsqueeze(0))
        if greedy:
            action = logits.argmax(dim=1).item()
        else:
            action = Categorical(logits=logits).sample().item()
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


def update(net, optimizer, episodes):
    obs = torch.tensor(np.concatenate([e[0] for e in episodes]), dtype=torch.float32)
    act = torch.tensor(np.concatenate([e[1] for e in episodes]), dtype=torch.int64)
    ret = torch.from_numpy(np.concatenate([discounted(e[2]) for e in episodes]))

    logits, value = net(obs)
    value = value.squeeze(1)
    dist = Categorical(logits=logits)
    advantage = ret - value.detach()
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)

    policy_loss = -(dist.log_prob(act) * advantage).mean()
    value_loss = F.mse_loss(value, ret)
    entropy = dist.entropy().mean()
    loss = policy_loss + VALUE_COEF * value_loss - ENTROPY_COEF * entropy

    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 0.5)
    optimizer.step()
    return policy_loss.item(), value_loss.item(), entropy.item()


if __name__ == '__main__':
    torch.manual_seed(SEED)
    env = Corridor(seed=SEED)
    net = ActorCritic(3, 3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)

    for k in range(1, UPDATES + 1):
        episodes = [rollout(env, net) for _ in range(EPISODES_PER_UPDATE)]
        pl, vl, ent = update(net, optimizer, episodes)
        if k % 5 == 0:
            score = np.mean([sum(e[2]) for e in episodes])
            steps = np.mean([len(e[2]) for e in episodes])
            print('update {:3d}  return {:6.3f}  steps {:5.1f}  policy {:7.4f}  value {:.4f}  entropy {:.3f}'.format(
                k, score, steps, pl, vl, ent))

    for _ in range(3):
        _, acts, rew = rollout(env, net, greedy=True)
        print('greedy:', ''.join('<.>'[a] for a in acts), 'arrived' if rew[-1] > 0 else 'lost')
