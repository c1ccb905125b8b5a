"""Steps of MinAtar's Breakout (without sticky actions), played well enough to clear walls, as breakout.json.

    pip install MinAtar; python breakout.py
"""

import json
import os
import random

from minatar.environments.breakout import Env

STEPS = 400
DIRECTIONS = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
# The framework's actions 0, 1, 2 are these of MinAtar.
ACTIONS = [0, 1, 3]


def state(env):
    """Ball, direction, ball before, paddle, struck, then the bricks as text."""
    numbers = [env.ball_x, env.ball_y, *DIRECTIONS[env.ball_dir], env.last_x, env.last_y, env.pos, int(env.strike)]
    bricks = "".join(str(int(x)) for x in env.brick_map[1:4].flatten())
    return [int(x) for x in numbers] + [bricks]


def record():
    rows = {"state": [], "action": [], "next": [], "reward": [], "terminated": [], "seen": []}
    choose = random.Random(0)
    env = Env()
    env.random.seed(0)
    env.reset()
    for step in range(STEPS):
        if step == 200:
            # No bricks are left, so that a new wall is seen.
            env.brick_map[:] = 0
        # Follow the ball, sometimes badly.
        action = choose.randrange(3)
        if choose.random() < 0.9:
            ahead = env.ball_x + DIRECTIONS[env.ball_dir][0]
            action = 1 if ahead < env.pos else 2 if ahead > env.pos else 0
        rows["state"].append(state(env))
        rows["action"].append(action)
        reward, terminated = env.act(ACTIONS[action])
        rows["next"].append(state(env))
        rows["reward"].append(int(reward))
        rows["terminated"].append(bool(terminated))
        # The numbers of the cells that are 1, channel after channel.
        image = env.state().transpose(2, 0, 1).flatten()
        rows["seen"].append([int(i) for i in image.nonzero()[0]] if step % 20 == 0 else [])
        if terminated:
            env.reset()
    return rows


if __name__ == "__main__":
    rows = record()
    print(sum(rows["reward"]), "bricks,", sum(rows["terminated"]), "episodes")
    path = os.path.join(os.path.dirname(__file__), "breakout.json")
    with open(path, "w") as file:
        json.dump(rows, file, separators=(",", ":"))
