"""FLAML over LightGBM, forests and logistic regression: 60 iterations in turns, since seconds are another number each time."""

from flaml import AutoML
from toxscreen import Result

DEFAULT = {"learner": "lrl1", "config": {"C": 1.0}}
LEARNERS = ["lgbm", "rf", "extra_tree", "lrl1"]


def automl(task):
    if task.phase == "train":
        learner, config = task.choice["learner"], task.choice["config"]
        found = search(task, [learner], 1, {learner: config})
        return Result(found.predict(task.test.flat), choice=task.choice)
    found = search(task, LEARNERS, task.params.get("iterations", 60), {})
    return Result(
        found.predict_proba(task.test.flat) if set(found.classes_) == set(range(task.classes)) else found.predict(task.test.flat),
        claim=1 - found.best_loss,
        choice={"learner": found.best_estimator, "config": found.best_config},
    )


def search(task, learners, iterations, start):
    found = AutoML()
    found.fit(
        task.train.flat,
        task.train.y,
        task="classification",
        metric="accuracy",
        time_budget=-1,
        max_iter=iterations,
        estimator_list=learners,
        starting_points=start,
        eval_method="cv",
        n_splits=3,
        n_jobs=task.threads,
        # By default it asks the learner that was cheap in seconds.
        learner_selector="roundrobin",
        seed=task.seed,
        verbose=0,
        log_file_name="",
    )
    return found
