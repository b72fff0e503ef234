"""Optuna's TPE over the families of space.py within the ranges of its grid: 18 trials of three folds, as many as that has."""

import optuna
from sklearn.model_selection import StratifiedKFold, cross_val_score
from space import FOLDS, model
from toxscreen import Result

DEFAULT = {"family": "logistic", "C": 1.0}


def draw(trial):
    family = trial.suggest_categorical("family", ["logistic", "svc", "forest", "boosting"])
    if family == "logistic":
        more = {"C": trial.suggest_float("C", 1e-2, 1e2, log=True)}
    elif family == "svc":
        more = {
            "C": trial.suggest_float("svc_C", 1e-1, 1e1, log=True),
            "gamma": trial.suggest_float("gamma", 3e-3, 2e-2, log=True),
        }
    elif family == "forest":
        more = {"leaf": trial.suggest_int("leaf", 1, 10, log=True)}
    else:
        more = {
            "rate": trial.suggest_float("rate", 0.05, 0.2, log=True),
            "leaves": trial.suggest_int("leaves", 7, 31, log=True),
        }
    return {"family": family, **more}


def automl(task):
    x, y = task.train.flat, task.train.y
    if task.phase == "train":
        return Result(model(task.choice, task.seed).fit(x, y).predict(task.test.flat), choice=task.choice)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=task.seed)

    def objective(trial):
        choice = draw(trial)
        trial.set_user_attr("choice", choice)
        return cross_val_score(model(choice, task.seed), x, y, cv=folds).mean()

    trials = task.params.get("trials", 18)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=task.seed))
    study.optimize(
        objective, n_trials=trials, callbacks=[lambda s, t: task.progress((t.number + 1) / trials, f"trial {t.number + 1}")]
    )
    choice = study.best_trial.user_attrs["choice"]
    fitted = model(choice, task.seed).fit(x, y)
    return Result(fitted.predict(task.test.flat), claim=study.best_value, choice=choice, evaluations=len(study.trials))
