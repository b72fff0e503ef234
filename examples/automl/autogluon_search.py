"""AutoGluon's tabular predictor: gradient boosting, forests, neighbours and linear models, weighted; no limit of time."""

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from toxscreen import Result

MODELS = {"GBM": {}, "RF": {}, "XT": {}, "KNN": {}, "LR": {}}


def automl(task):
    names = [f"x{i}" for i in range(task.train.flat.shape[1])]
    train = pd.DataFrame(task.train.flat, columns=names).assign(label=task.train.y)
    predictor = TabularPredictor("label", path=str(task.checkpoint / "models"), eval_metric="accuracy", verbosity=0)
    predictor.fit(
        train,
        hyperparameters=MODELS,
        num_cpus=task.threads,
        dynamic_stacking=False,
        ag_args_fit={"random_seed": task.seed},
    )
    board = predictor.leaderboard(silent=True)
    found = predictor.predict_proba(pd.DataFrame(task.test.flat, columns=names))
    scores = np.zeros((len(found), task.classes))
    scores[:, [int(label) for label in found.columns]] = found.to_numpy()
    return Result(
        scores,
        probabilities=True,
        claim=float(board["score_val"].iloc[0]),
        choice={"model": predictor.model_best},
        evaluations=len(board),
    )
