"""Classical classifiers of scikit-learn, and the step `fit`.

What they see are the pixels as `[input]` scales them, the tensor [3, height, width] as one row, and of these rows the
principal components. A fitted pipeline takes rows, float32 [n, 3 x height x width], and its `predict_proba` gives
[n, 2]: real, fake. All of its steps are known to skl2onnx.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from edgerig import metrics
from edgerig.errors import ConfigError
from model_zoo.backbones import registry
from model_zoo.building.recipe import Fit
from model_zoo.building.trained import Context, Trained
from model_zoo.manifest import Input
from model_zoo.training.batches import Album, plain

Rows = NDArray[np.float32]


def create(name: str, seed: int) -> Any:
    """Return a pipeline that is not fitted yet."""
    classifiers: dict[str, Any] = {
        # Probabilities by Platt's scaling: a support vector machine has none of its own.
        "svm": CalibratedClassifierCV(SVC(C=1.0, gamma="scale"), ensemble=False),
        "decision-tree": DecisionTreeClassifier(max_depth=12, random_state=seed),
        "random-forest": RandomForestClassifier(n_estimators=100, max_depth=12, random_state=seed),
    }
    return Pipeline(
        [("components", PCA(random_state=seed, svd_solver="randomized")), ("classifier", classifiers[name])]
    )


def apply(table: Fit, trained: Trained, context: Context) -> Trained:
    """Return a classifier, fitted."""
    faces = context.faces_on(table.on)
    train, val = Album(faces.train), Album(faces.val)
    context.teller.step(f"fitting {trained.backbone}", 2)
    rows = _rows(train, trained.input)
    context.teller.advance(1, f"{len(rows)} faces of {rows.shape[1]} pixels and colours")
    _prepare(trained.model, table, train, rows)
    trained.model.fit(rows, train.labels)
    before, after = (_auc(trained.model, *seen) for seen in ((train, rows), (val, _rows(val, trained.input))))
    context.teller.advance(2, f"validation AUC {after:.4f}")
    technique = f"{trained.model['components'].n_components_} principal components"
    return trained.then(technique, train_auc=before, val_auc=after)


def _auc(model: Any, album: Album, rows: Rows) -> float:
    return metrics.roc_auc(album.labels, model.predict_proba(rows)[:, 1]) or 0.0


def _rows(album: Album, spec: Input) -> Rows:
    return np.concatenate([tensor.reshape(len(tensor), -1) for tensor in plain(album, spec)])


def _prepare(model: Any, table: Fit, album: Album, rows: Rows) -> None:
    """Say how many components, and let no group be on both sides where probabilities are calibrated."""
    model.set_params(components__n_components=min(table.components, *rows.shape))
    if isinstance(model["classifier"], CalibratedClassifierCV):
        groups = [face.group for face in album.faces]
        folds = list(GroupKFold(min(5, len(set(groups)))).split(rows, album.labels, groups))
        model.set_params(classifier__cv=folds)


def check(table: Fit, backbone: str) -> None:
    """Raise ConfigError where a backbone is a net."""
    if registry.named(backbone).source != "scikit-learn":
        raise ConfigError(f"'{table.do}' is for classical classifiers, and {backbone} is a net.", "Its step: 'train'.")
