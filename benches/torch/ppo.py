"""PPO on Gymnasium's CartPole in PyTorch, one process, one line of JSON: the rate of the whole loop after a warm-up iteration.

    python3 ppo.py [--peer torch|sb3] [--steps 40960] [--environments 4] [--rollout 128] [--threads 2]

`torch` is written from the paper and "The 37 implementation details of proximal policy optimization" (2022), with the networks,
minibatches and numbers of src/bin/reinforcement.rs; `sb3` is Stable-Baselines3's PPO with the same numbers.
"""

import argparse
import json
import time

import gymnasium
import numpy
import torch
from torch import nn
from torch.distributions import Categorical

EPOCHS, MINIBATCHES = 4, 4
GAMMA, LAMBDA, CLIP = 0.99, 0.95, 0.2
RATE, ENTROPY, VALUE, NORM = 2.5e-4, 0.01, 0.5, 0.5


def network(outputs, gain):
    layers = []
    for inputs, width, scale in [(4, 64, 2**0.5), (64, 64, 2**0.5), (64, outputs, gain)]:
        layer = nn.Linear(inputs, width)
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def advantages(rewards, values, ends, last_value):
    """Generalised advantages, backwards in time; as CleanRL, an end of any kind is an end."""
    out = torch.zeros_like(rewards)
    later = torch.zeros_like(last_value)
    following = last_value
    for t in reversed(range(len(rewards))):
        error = rewards[t] + GAMMA * following * (1 - ends[t]) - values[t]
        later = error + GAMMA * LAMBDA * (1 - ends[t]) * later
        out[t], following = later, values[t]
    return out


def torch_ppo(steps, n, length):
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    worlds = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * n, autoreset_mode=mode)
    actor, critic = network(2, 0.01), network(1, 1.0)
    parameters = [*actor.parameters(), *critic.parameters()]
    adam = torch.optim.Adam(parameters, lr=RATE, eps=1e-5)
    seen = torch.zeros(length, n, 4)
    actions, logs, rewards, ends, values = (torch.zeros(length, n) for _ in range(5))
    observation = torch.from_numpy(worlds.reset(seed=1)[0])
    iterations = max(steps // (n * length), 1)
    for iteration in range(-1, iterations):
        if iteration == 0:
            begin = time.perf_counter()
        adam.param_groups[0]["lr"] = RATE * (1 - max(iteration, 0) / iterations)
        with torch.no_grad():
            for t in range(length):
                policy = Categorical(logits=actor(observation))
                action = policy.sample()
                seen[t], actions[t], logs[t] = observation, action, policy.log_prob(action)
                values[t] = critic(observation).squeeze(-1)
                after, reward, terminated, truncated, _ = worlds.step(action.numpy())
                rewards[t] = torch.from_numpy(numpy.asarray(reward, dtype=numpy.float32))
                ends[t] = torch.from_numpy((terminated | truncated).astype(numpy.float32))
                observation = torch.from_numpy(after)
            advantage = advantages(rewards, values, ends, critic(observation).squeeze(-1))
            goal = (advantage + values).flatten()
        flat = seen.reshape(-1, 4), actions.flatten(), logs.flatten(), advantage.flatten(), goal, values.flatten()
        size = n * length // MINIBATCHES
        for _ in range(EPOCHS):
            for part in torch.randperm(n * length).split(size):
                x, action, log, gain, target, old = (column[part] for column in flat)
                policy = Categorical(logits=actor(x))
                ratio = (policy.log_prob(action) - log).exp()
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                loss = -torch.min(gain * ratio, gain * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
                value = critic(x).squeeze(-1)
                near = old + (value - old).clamp(-CLIP, CLIP)
                error = 0.5 * torch.max((value - target) ** 2, (near - target) ** 2).mean()
                loss = loss + VALUE * error - ENTROPY * policy.entropy().mean()
                adam.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, NORM)
                adam.step()
    return iterations * n * length / (time.perf_counter() - begin)


def sb3_ppo(steps, n, length):
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    agent = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=n),
        learning_rate=RATE,
        n_steps=length,
        batch_size=n * length // MINIBATCHES,
        n_epochs=EPOCHS,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        clip_range=CLIP,
        clip_range_vf=CLIP,
        ent_coef=ENTROPY,
        vf_coef=VALUE,
        max_grad_norm=NORM,
        device="cpu",
        seed=1,
    )
    agent.learn(n * length)
    iterations = max(steps // (n * length), 1)
    begin = time.perf_counter()
    agent.learn(iterations * n * length)
    return iterations * n * length / (time.perf_counter() - begin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", choices=["torch", "sb3"], default="torch")
    parser.add_argument("--steps", type=int, default=40960)
    parser.add_argument("--environments", type=int, default=4)
    parser.add_argument("--rollout", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    run = {"torch": torch_ppo, "sb3": sb3_ppo}[arguments.peer]
    rate = run(arguments.steps, arguments.environments, arguments.rollout)
    print(json.dumps({"peer": arguments.peer, "steps_per_s": rate}))
