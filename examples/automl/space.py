"""The configurations that all searches here choose from: four families, 18 configurations in the grid."""

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FOLDS = 3
GRID = [
    {"model": [LogisticRegression(max_iter=2000)], "model__C": [0.01, 0.1, 1.0, 10.0, 100.0]},
    {"model": [SVC()], "model__C": [0.1, 1.0, 10.0], "model__gamma": [0.003, 0.02]},
    {"model": [RandomForestClassifier(n_estimators=100)], "model__min_samples_leaf": [1, 3, 10]},
    {
        "model": [HistGradientBoostingClassifier(max_iter=60)],
        "model__learning_rate": [0.05, 0.2],
        "model__max_leaf_nodes": [7, 31],
    },
]


def pipeline():
    return Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(max_iter=2000))])


def grid():
    """Every configuration on every fold."""
    return GridSearchCV(pipeline(), GRID, cv=FOLDS)


def halving():
    """The same grid, on more and more rows, with the better third each time."""
    return HalvingGridSearchCV(pipeline(), GRID, cv=FOLDS)


def model(choice, seed):
    """The pipeline of a choice such as `{"family": "svc", "C": 1.0, "gamma": 0.02}`."""
    made = {
        "logistic": lambda c: LogisticRegression(C=c["C"], max_iter=2000),
        "svc": lambda c: SVC(C=c["C"], gamma=c["gamma"]),
        "forest": lambda c: RandomForestClassifier(100, min_samples_leaf=c["leaf"], random_state=seed),
        "boosting": lambda c: HistGradientBoostingClassifier(
            max_iter=60, learning_rate=c["rate"], max_leaf_nodes=c["leaves"], random_state=seed
        ),
    }
    return Pipeline([("scale", StandardScaler()), ("model", made[choice["family"]](choice))])
