"""Goldens of intervals and tests, from SciPy and statsmodels.

    python -m venv venv && venv/bin/pip install numpy==2.3.5 scipy==1.16.3 statsmodels==0.14.5 scikit-learn==1.7.2
    venv/bin/python testdata/statistics/goldens.py

Writes goldens.json beside this file; crates/demeanor-train/src/statistics.rs reads it.
"""

import itertools
import json
import pathlib

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(20261125)


def rounded(values):
    return [round(float(v), 6) for v in values]


def groups(kinds):
    made = [rounded(make()) for make in kinds]
    f, p = stats.f_oneway(*made)
    pairs = list(itertools.combinations(range(len(made)), 2))
    welch, paired = [], []
    for a, b in pairs:
        found = stats.ttest_ind(made[a], made[b], equal_var=False)
        welch.append({"a": a, "b": b, "t": found.statistic, "df": found.df, "p": found.pvalue})
        if len(made[a]) == len(made[b]):
            found = stats.ttest_rel(made[a], made[b])
            paired.append({"a": a, "b": b, "t": found.statistic, "p": found.pvalue})
    first = made[0]
    interval = stats.t.interval(0.95, len(first) - 1, np.mean(first), stats.sem(first))
    return {
        "groups": made,
        "anova": {"f": f, "p": p},
        "welch": welch,
        "paired": paired,
        "interval": list(interval),
    }


def mcnemar(b, c):
    return {"b": b, "c": c, "p": stats.binomtest(min(b, c), b + c, 0.5).pvalue}


def holm(p):
    return {"p": p, "corrected": list(multipletests(p, method="holm")[1])}


def bootstrap(values):
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=50_000, method="percentile", rng=np.random.default_rng(7), batch=1000
    )
    return {"values": values, "interval": [found.confidence_interval.low, found.confidence_interval.high]}


def auroc(n, digits):
    confidence = np.round(random.uniform(0, 1, n), digits)
    right = random.uniform(0, 1, n) < confidence
    return {
        "confidence": [float(c) for c in confidence],
        "right": [bool(r) for r in right],
        "auroc": roc_auc_score(right, confidence),
    }


values = rounded(random.normal(0, 1, 23))
goldens = {
    "groups": [
        groups([lambda m=m: random.normal(m, 0.1, 24) for m in (0.53, 0.76, 0.59, 0.47)]),
        # right or wrong, picture by picture
        groups([lambda n=n, p=p: (random.uniform(0, 1, n) < p) for n, p in ((491, 0.65), (55, 0.42), (528, 0.41))]),
        # means that hardly differ, groups of unequal size and variance
        groups([lambda n=n, s=s: random.normal(0.5, s, n) for n, s in ((5, 0.01), (8, 0.2), (13, 0.05))]),
    ],
    "holm": [
        holm([0.01, 0.04, 0.03, 0.005]),
        holm([0.5, 0.5, 0.9]),
        holm(rounded(random.uniform(0, 0.05, 21))),
    ],
    "mcnemar": [mcnemar(b, c) for b, c in ((10, 2), (5, 5), (0, 7), (312, 251), (1, 0))],
    "quantile": [
        {"values": values, "at": [[q, float(np.quantile(values, q))] for q in (0.0, 0.025, 0.3, 0.5, 0.975, 1.0)]}
    ],
    "bootstrap": [bootstrap(rounded(random.uniform(0, 1, 60))), bootstrap(rounded(random.exponential(1, 24)))],
    "auroc": [auroc(200, 6), auroc(200, 1)],
}
path = pathlib.Path(__file__).with_name("goldens.json")
path.write_text(json.dumps(goldens, indent=1) + "\n")
