"""The methods that a study compares, as figures and tables name them."""

from __future__ import annotations

from twin.evaluate.report.content import Method

HERO, REFERENCE = "metaloc", "knn"

METHODS = (
    Method(
        "metaloc",
        "MetaLoc (adapted twin)",
        "Meta-learned (MAML) on the twin's realisations; aligned on the k labels, then adapted to "
        "them by a few gradient steps.",
    ),
    Method(
        "metaloc_unlabelled",
        "MetaLoc, aligned unlabelled",
        "The same learner, aligned by the moments of all scans of all reference points, without "
        "their positions, in place of the k labels; adapted to the k labels.",
    ),
    Method(
        "metaloc_unaligned",
        "MetaLoc, not aligned",
        "The same learner, which trained on aligned tasks, with real fingerprints as they are; "
        "adapted to the k labels. Shows what leaving the alignment out does to a finished learner.",
    ),
    Method(
        "pretraining",
        "Plain pre-training",
        "The same network on the same tasks in the same order, trained without an inner loop; "
        "aligned the same way and adapted by as many steps, at the step size that suits it best.",
    ),
    Method(
        "pretraining_unadapted",
        "Pre-training, aligned only",
        "The pre-trained network as it is: the k labels align the fingerprints, no more.",
    ),
    Method(
        "random_start",
        "Random start",
        "The same network with random weights; aligned the same way and adapted by as many steps.",
    ),
    Method(
        "knn",
        "KNN",
        "Mean position of the K labelled points nearest in signal space; K is the square root of "
        "k, rounded, and at most 3. Knows the k labels and nothing of the twin.",
    ),
    Method("wknn", "WKNN", "KNN weighted by the inverse of the distance in signal space."),
)
