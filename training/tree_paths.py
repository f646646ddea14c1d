"""LightGBM's trees laid out by leaf: which features lead to it, through which nodes, and what share of rows each keeps.

So laid out, a leaf's part in TreeSHAP is a product over its features, and no tree is walked twice for one lead.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

CATEGORY = 1  # in a node's kind: the rest says how a missing value goes


class TreePaths(NamedTuple):
    """All trees' nodes, leaves, the features on each leaf's path, and the steps in which a feature's nodes are passed.

    The steps of one feature on one path, and the features of one leaf, stand side by side: `*_start` says from where.
    All of it is read for each lead, so it is kept small.
    """

    feature: np.ndarray  # int32 (n_nodes,) the column that a node looks at
    threshold: np.ndarray  # (n_nodes,); of a category: its place in `words_start`
    kind: np.ndarray  # uint8 (n_nodes,), as LightGBM writes it
    words: np.ndarray  # uint32, a bit for each code that goes left
    words_start: np.ndarray  # int32 (n_sets + 1,)
    leaf_value: np.ndarray  # (n_leaves,)
    leaf_start: np.ndarray  # int32 (n_leaves + 1,), into the features of paths
    path_feature: np.ndarray  # int32 (n_path_features,)
    path_share: np.ndarray  # (n_path_features,) of the training rows above these nodes that go on to the leaf
    path_start: np.ndarray  # int32 (n_path_features + 1,), into the steps
    step_node: np.ndarray  # int32 (n_steps,)
    step_left: np.ndarray  # uint8 (n_steps,), 1 where the path goes left
    expected: float  # the mean of the sum of leaves over the training rows


def tree_paths(text: str) -> TreePaths | None:
    """The trees of a model as LightGBM writes it; None where a leaf holds a linear model instead of a number."""
    trees = [_fields(part) for part in text.split("end of trees")[0].split("\nTree=")[1:]]
    if any(tree.get("is_linear") == "1" for tree in trees):
        return None
    made = _Collected()
    for tree in trees:
        made.add(tree)
    return made.paths()


def _fields(part: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in part.splitlines() if "=" in line)


def _numbers(tree: Mapping[str, str], name: str) -> list[float]:
    return [float(each) for each in tree.get(name, "").split()]


class _Collected:
    """What was read so far."""

    def __init__(self) -> None:
        self._nodes: list[tuple[float, float, float]] = []  # feature, threshold, kind
        self._sets: list[list[float]] = []
        self._leaves: list[tuple[float, int]] = []  # value, features on its path
        self._path: list[tuple[int, float, int]] = []  # feature, share, steps
        self._steps: list[tuple[int, bool]] = []
        self._expected = 0.0

    def add(self, tree: Mapping[str, str]) -> None:
        """Take up one tree."""
        values, counts = _numbers(tree, "leaf_value"), _numbers(tree, "leaf_count")
        if len(values) == 1:
            self._expected += values[0]  # no split: it says the same of every lead
            return
        before, sets = len(self._nodes), len(self._sets)
        features, kinds = _numbers(tree, "split_feature"), _numbers(tree, "decision_type")
        for feature, threshold, kind in zip(features, _numbers(tree, "threshold"), kinds, strict=True):
            self._nodes.append((feature, threshold + sets if int(kind) & CATEGORY else threshold, kind))
        ends, words = [int(each) for each in _numbers(tree, "cat_boundaries")], _numbers(tree, "cat_threshold")
        self._sets += [words[begin:end] for begin, end in pairwise(ends)]
        all_rows = _numbers(tree, "internal_count")[0]
        for leaf, steps in _leaves(tree):
            self._expected += values[leaf] * counts[leaf] / all_rows
            by_feature: dict[int, list[tuple[int, bool, float]]] = {}
            for node, left, share in steps:
                by_feature.setdefault(int(features[node]), []).append((before + node, left, share))
            self._leaves.append((values[leaf], len(by_feature)))
            for feature, own in by_feature.items():
                self._path.append((feature, prod(share for _, _, share in own), len(own)))
                self._steps += [(node, left) for node, left, _ in own]

    def paths(self) -> TreePaths:
        """Everything as arrays."""
        nodes = np.array(self._nodes).reshape(-1, 3)
        leaves, path, steps = (np.array(rows) for rows in (self._leaves, self._path, self._steps))
        leaves, path, steps = leaves.reshape(-1, 2), path.reshape(-1, 3), steps.reshape(-1, 2)
        return TreePaths(
            feature=nodes[:, 0].astype(np.int32),
            threshold=nodes[:, 1].copy(),
            kind=nodes[:, 2].astype(np.uint8),
            words=np.array([word for words in self._sets for word in words], dtype=np.uint32),
            words_start=_starts([len(words) for words in self._sets]),
            leaf_value=leaves[:, 0].copy(),
            leaf_start=_starts(leaves[:, 1]),
            path_feature=path[:, 0].astype(np.int32),
            path_share=path[:, 1].copy(),
            path_start=_starts(path[:, 2]),
            step_node=steps[:, 0].astype(np.int32),
            step_left=steps[:, 1].astype(np.uint8),
            expected=self._expected,
        )


def _starts(lengths: np.ndarray | list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _leaves(tree: Mapping[str, str]) -> Iterator[tuple[int, list[tuple[int, bool, float]]]]:
    """Every leaf with the steps to it: the node, whether to the left, and the share of the node's rows on that side."""
    children = [_numbers(tree, side) for side in ("left_child", "right_child")]
    node_counts, leaf_counts = _numbers(tree, "internal_count"), _numbers(tree, "leaf_count")
    waiting: list[tuple[int, list[tuple[int, bool, float]]]] = [(0, [])]
    while waiting:
        node, steps = waiting.pop()
        for side, left in zip(children, (True, False), strict=True):
            child = int(side[node])
            rows = leaf_counts[~child] if child < 0 else node_counts[child]
            further = [*steps, (node, left, rows / max(node_counts[node], 1))]
            if child < 0:
                yield ~child, further
            else:
                waiting.append((child, further))
