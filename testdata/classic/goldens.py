"""Goldens of the old baselines: features by scikit-image, a linear SVM by scikit-learn (LIBLINEAR).

    pip install -r requirements.txt
    python goldens.py > goldens.json
"""

import json

import numpy as np
from skimage.feature import hog, local_binary_pattern
from sklearn.svm import LinearSVC

SIDE = 48
y, x = np.mgrid[:SIDE, :SIDE]
picture = ((x * x + 3 * y * y + 7 * x * y + np.where((x // 5 + y // 7) % 2 == 0, 90, 0)) % 251).astype(np.uint8)
found = {
    "hog": [round(float(v), 7) for v in hog(picture.astype(np.float64), 9, (8, 8), (2, 2), "L2-Hys", feature_vector=True)],
    "lbp": local_binary_pattern(picture, 8, 1, "default").astype(int).ravel().tolist(),
    "svm": [],
}
random = np.random.default_rng(5)
for count, width, classes, c in [(60, 4, 3, 0.1), (90, 12, 4, 1.0)]:
    labels = np.arange(count) % classes
    values = np.round(random.normal(size=(count, width)) + 0.8 * np.eye(classes, width)[labels], 3)
    model = LinearSVC(C=c, loss="squared_hinge", dual=True, tol=1e-8, max_iter=1_000_000, random_state=0).fit(values, labels)
    objectives = []
    for k in range(classes):
        sign = np.where(labels == k, 1.0, -1.0)
        w, b = model.coef_[k], model.intercept_[k]
        loss = np.maximum(0, 1 - sign * (values @ w + b)) ** 2
        objectives.append(float((w @ w + b * b) / 2 + c * loss.sum()))
    found["svm"].append({"x": values.tolist(), "y": labels.tolist(), "classes": classes, "c": c, "objectives": objectives})
print(json.dumps(found))
