"""Random steps of Gymnasium's classic controls: states, actions, next states, rewards, terminations, as environments.json."""

import json
import os

import gymnasium
import numpy

NAMES = {
    "CartPole": "CartPole-v1",
    "Pendulum": "Pendulum-v1",
    "Acrobot": "Acrobot-v1",
    "MountainCar": "MountainCar-v0",
    "MountainCarContinuous": "MountainCarContinuous-v0",
}
STEPS = 150


def record(name):
    env = gymnasium.make(name).unwrapped
    random = numpy.random.default_rng(0)
    env.reset(seed=0)
    space = env.action_space
    rows = {"state": [], "action": [], "next": [], "reward": [], "terminated": [], "seen": []}
    for step in range(STEPS):
        discrete = isinstance(space, gymnasium.spaces.Discrete)
        if step % 30 == 0:
            # Fast and far states also, so that limits and walls are met. f32 numbers, as some environments keep.
            scale = 10.0 ** random.uniform(-1, 1)
            env.reset()
            state = numpy.asarray(env.state, dtype=numpy.float32).astype(numpy.float64) * scale
            env.state = state.copy()
        before = [float(x) for x in env.state]
        action = int(random.integers(space.n)) if discrete else random.uniform(-2.5, 2.5, 1)
        seen, reward, terminated, _, _ = env.step(action)
        rows["state"].append(before)
        rows["action"].append(action if discrete else float(action[0]))
        rows["next"].append([float(x) for x in env.state])
        rows["reward"].append(float(reward))
        rows["terminated"].append(bool(terminated))
        rows["seen"].append([float(x) for x in seen])
        if terminated:
            env.reset()
    return rows


if __name__ == "__main__":
    path = os.path.join(os.path.dirname(__file__), "environments.json")
    with open(path, "w") as file:
        json.dump({name: record(which) for name, which in NAMES.items()}, file)
