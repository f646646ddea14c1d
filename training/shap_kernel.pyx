# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""TreeSHAP of one row, compiled: LightGBM's `pred_contrib`, from trees laid out by leaf.

A leaf pays its value where every feature on its path lets the row pass; of a feature left out, it pays the share of the
training rows that pass. Of these products the Shapley values are sums over how many of the features that let the row
pass stand before: the coefficients of the product of (t + share) over them.
Source: Lundberg et al. (2020), From local explanations to global understanding, doi:10.1038/s42256-019-0138-9.
"""

from libc.math cimport fabs, isnan
from libc.stdlib cimport free, malloc

import numpy as np

cdef int CATEGORY = 1, LEFT_BY_DEFAULT = 2, MISSING = 12, ZERO_IS_MISSING = 4, NAN_IS_MISSING = 8
cdef double ZERO = <float> 1e-35  # as LightGBM has it, in single precision


cdef class ShapKernel:
    """The trees as `training.tree_paths` lays them out, ready for one row after the other."""

    cdef const int[::1] feature, words_start, leaf_start, path_feature, path_start, step_node
    cdef const double[::1] threshold, leaf_value, path_share
    cdef const unsigned char[::1] kind, step_left
    cdef const unsigned int[::1] words
    cdef double[:, ::1] weight  # of k features before one of d, k! (d - 1 - k)! / d!
    cdef double expected
    cdef Py_ssize_t longest, columns

    def __init__(self, paths, Py_ssize_t columns):
        """Columns : how many a row has."""
        self.feature, self.threshold, self.kind = paths.feature, paths.threshold, paths.kind
        self.words, self.words_start = paths.words, paths.words_start
        self.leaf_value, self.leaf_start = paths.leaf_value, paths.leaf_start
        self.path_feature, self.path_share, self.path_start = paths.path_feature, paths.path_share, paths.path_start
        self.step_node, self.step_left = paths.step_node, paths.step_left
        self.expected, self.columns = paths.expected, columns
        self.longest = int(np.diff(paths.leaf_start).max(initial=1))
        if not 0 <= paths.feature.min(initial=0) <= paths.feature.max(initial=0) < columns:
            raise ValueError(f"The trees read more than {columns} columns.")
        self.weight = _weights(self.longest)

    def __call__(self, const double[::1] row):
        """Each column's part of the sum of leaves, and the mean over the training rows last, (n_columns + 1,)."""
        if row.shape[0] != self.columns:
            raise ValueError(f"The trees read {self.columns} columns, got {row.shape[0]}.")
        made = np.zeros(self.columns + 1)
        cdef double[::1] parts = made
        cdef Py_ssize_t node, leaf
        cdef unsigned char* left = <unsigned char*> malloc(self.feature.shape[0] + 1)
        cdef double* room = <double*> malloc((3 * self.longest + 2) * sizeof(double))
        if not left or not room:
            free(left)
            free(room)
            raise MemoryError
        for node in range(self.feature.shape[0]):
            left[node] = self._goes_left(node, row[self.feature[node]])
        for leaf in range(self.leaf_value.shape[0]):
            self._add(leaf, left, room, parts)
        free(left)
        free(room)
        parts[self.columns] = self.expected
        return made

    cdef bint _goes_left(self, Py_ssize_t node, double value) noexcept:
        cdef int kind = self.kind[node]
        if kind & CATEGORY:
            return self._in_set(<Py_ssize_t> self.threshold[node], value)
        if isnan(value) and kind & MISSING != NAN_IS_MISSING:
            value = 0.0
        if isnan(value) or (kind & MISSING == ZERO_IS_MISSING and fabs(value) <= ZERO):
            return kind & LEFT_BY_DEFAULT != 0
        return value <= self.threshold[node]

    cdef bint _in_set(self, Py_ssize_t number, double value) noexcept:
        cdef Py_ssize_t code
        # What is no code at all is in no set.
        if isnan(value) or not -1.0 < value < 32.0 * (self.words_start[number + 1] - self.words_start[number]):
            return False
        code = <Py_ssize_t> value
        return self.words[self.words_start[number] + code // 32] >> (code % 32) & 1

    cdef void _add(self, Py_ssize_t leaf, const unsigned char* left, double* room, double[::1] parts) noexcept:
        """What one leaf adds to each feature on its path."""
        cdef Py_ssize_t start = self.leaf_start[leaf], many = self.leaf_start[leaf + 1] - start, place, k, passed = 0
        cdef const double* weight = &self.weight[many - 1, 0]
        cdef double* before = room  # coefficients of the product over those that let the row pass
        cdef double* passes = before + self.longest + 1
        cdef double value = self.leaf_value[leaf], total = 0.0, share, one, without
        before[0] = 1.0
        for place in range(many):
            share = self.path_share[start + place]
            passes[place] = self._lets_pass(start + place, left)
            if not passes[place]:
                value *= share
                continue
            passed += 1
            before[passed] = 1.0
            for k in range(passed - 1, 0, -1):
                before[k] = before[k - 1] + share * before[k]
            before[0] *= share
        if passed < many:  # alike for each feature that stops the row
            for k in range(passed + 1):
                total += weight[k] * before[k]
        for place in range(many):
            share = self.path_share[start + place]
            if not passes[place]:
                parts[self.path_feature[start + place]] -= value * total
                continue
            one = without = 0.0
            for k in range(passed, 0, -1):  # the coefficients without this feature, by division
                without = before[k] - share * without
                one += weight[k - 1] * without
            parts[self.path_feature[start + place]] += value * (1.0 - share) * one

    cdef bint _lets_pass(self, Py_ssize_t place, const unsigned char* left) noexcept:
        cdef Py_ssize_t step
        for step in range(self.path_start[place], self.path_start[place + 1]):
            if left[self.step_node[step]] != self.step_left[step]:
                return False
        return True


def _weights(Py_ssize_t longest):
    """k! (d - 1 - k)! / d! in row d - 1 and column k, (longest, longest)."""
    made = np.zeros((longest, longest))
    for many in range(1, longest + 1):
        made[many - 1, 0] = 1.0 / many
        for k in range(1, many):
            made[many - 1, k] = made[many - 1, k - 1] * k / (many - k)
    return made
