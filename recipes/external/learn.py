"""Logistic regression by gradient descent: the smallest learner that chooses something."""

import numpy as np


def logistic(task):
    x, y = rows(task.train.x), np.eye(task.classes)[task.train.y]
    xv, yv = rows(task.valid.x), task.valid.y
    best = None
    for step in [0.3, 3.0]:
        w = np.zeros((x.shape[1], task.classes))
        for _ in range(200):
            w -= step * x.T @ (softmax(x @ w) - y) / len(x)
        accuracy = float(np.mean(np.argmax(xv @ w, 1) == yv))
        if best is None or accuracy > best[0]:
            best = accuracy, step, w
    accuracy, step, w = best
    scores = softmax(rows(task.test.x) @ w)
    return {"predictions": scores, "probabilities": True, "claim": accuracy, "choice": {"step": step}}


def rows(x):
    x = x.reshape(len(x), -1) / 255.0
    return np.hstack([x, np.ones((len(x), 1))])


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
