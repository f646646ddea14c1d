# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""`training.rep_arithmetic`, compiled. The formulas are explained there; a test holds the two equal.

All is done lead by lead, over the reps at once, so that what is at work stays in the processor's nearest memory.
"""

from libc.math cimport NAN, sqrt
from libc.stdlib cimport free, malloc

import numpy as np

from training.rep_arithmetic import Uplifts

cdef extern from "rep_loops.h" nogil:
    void add_row(double* to, const double* row, double weight, Py_ssize_t n)
    void add_single(float* to, const float* row, float weight, Py_ssize_t n)
    double dot(const double* one, const double* other, Py_ssize_t n)
    void logistic(const double* eta, double* p, Py_ssize_t n)
    double secants(const double* eta, const double* p, const unsigned char* eligible, Py_ssize_t here, double share,
                   double* found, Py_ssize_t n)

# Pairs of lead and rep from which on Python's lock is let go: to get it back takes longer than a single lead.
cdef Py_ssize_t MANY = 20_000


cdef class RepKernel:
    """As `RepArithmetic`."""

    cdef object tables
    cdef const double[:, ::1] rows, beta_covariance
    cdef const float[:, ::1] covariance
    cdef const Py_ssize_t[:, ::1] row_of_pair
    cdef const Py_ssize_t[::1] ramps, term_of
    cdef const double[::1] beta
    cdef Py_ssize_t width, pairs, reps, terms
    cdef double slope

    def __init__(self, tables):
        self.tables = tables
        self.rows, self.covariance, self.row_of_pair = tables.rows, tables.covariance, tables.row_of_pair
        self.ramps, self.beta, self.beta_covariance = tables.ramps, tables.beta, tables.beta_covariance
        self.term_of, self.terms = tables.in_term.argmax(axis=1), tables.in_term.shape[1]
        self.width, self.pairs, self.reps = len(tables.row_of_pair), len(tables.beta), tables.rows.shape[1]
        self.slope = tables.slope
        self._check_tables()

    def __reduce__(self):
        from training.roster_columns import arithmetic_of  # which takes what the other process has

        return arithmetic_of, (self.tables,)

    cdef _check_tables(self):
        _check(self.rows.shape[0] >= self.width and self.row_of_pair.shape[1] == self.width)
        _check(self.covariance.shape[1] == self.reps and _within(self.row_of_pair, 0, self.covariance.shape[0]))
        _check(self.ramps.shape[0] <= self.pairs and _within(self.ramps[None, :], 0, self.rows.shape[0]))
        _check(self.beta_covariance.shape[0] == self.beta_covariance.shape[1] == self.pairs)
        _check(self.term_of.shape[0] == self.width + self.pairs)

    def scores(self, touched, const double[::1] offset):
        """As `RepArithmetic.scores`."""
        log_odds, probability = np.empty((len(offset), self.reps)), np.empty((len(offset), self.reps))
        cdef double[:, ::1] eta = log_odds, p = probability
        cdef Leads leads = Leads(self, touched)
        _check(leads.many == len(offset))
        if leads.many * self.reps < MANY:
            self._scores(leads, offset, eta, p)
        else:
            with nogil:
                self._scores(leads, offset, eta, p)
        return log_odds, probability

    def variance(self, touched):
        """As `RepArithmetic.variance`."""
        made = np.zeros((len(touched.z), self.reps), dtype=np.float32)
        cdef float[:, ::1] variance = made
        cdef Leads leads = Leads(self, touched)
        if leads.many * self.reps < MANY:
            self._variance(leads, variance)
        else:
            with nogil:
                self._variance(leads, variance)
        return made

    def uplifts(self, touched, const double[:, ::1] p, const float[:, ::1] variance, among,
                const Py_ssize_t[:, ::1] asked):
        """As `RepArithmetic.uplifts`."""
        cdef Leads leads = Leads(self, touched, among)
        cdef Py_ssize_t n = leads.many, k = asked.shape[1]
        _check(leads.ask(asked) and p.shape[1] == variance.shape[1] == self.reps)
        _check(n == p.shape[0] == variance.shape[0])
        made = Uplifts(np.empty(n), np.empty((n, k)), np.empty((n, k)))
        cdef double[::1] baseline = made.baseline
        cdef double[:, ::1] value = made.value, error = made.error
        if leads.many * self.reps < MANY:
            self._uplifts(leads, p, variance, asked, baseline, value, error)
        else:
            with nogil:
                self._uplifts(leads, p, variance, asked, baseline, value, error)
        return made

    def shares(self, touched, const double[:, ::1] eta, const double[:, ::1] p, among, const Py_ssize_t[:, ::1] asked):
        """As `RepArithmetic.shares`."""
        made = np.zeros((asked.shape[0], asked.shape[1], self.terms))
        cdef double[:, :, ::1] shares = made
        cdef Leads leads = Leads(self, touched, among)
        _check(leads.ask(asked) and p.shape[1] == eta.shape[1] == self.reps)
        _check(leads.many == p.shape[0] == eta.shape[0])
        if leads.many * self.reps < MANY:
            self._shares(leads, eta, p, asked, shares)
        else:
            with nogil:
                self._shares(leads, eta, p, asked, shares)
        return made

    cdef void _scores(self, Leads leads, const double[::1] offset, double[:, ::1] eta, double[:, ::1] p) noexcept nogil:
        cdef Py_ssize_t i, k, r
        for i in range(leads.many):
            self._take_up(leads, i)
            for r in range(self.reps):
                eta[i, r] = offset[i]
            for k in range(leads.directions):
                add_row(&eta[i, 0], leads.row[k], leads.weight[k], self.reps)
            logistic(&eta[i, 0], &p[i, 0], self.reps)

    cdef void _variance(self, Leads leads, float[:, ::1] variance) noexcept nogil:
        cdef Py_ssize_t i, one, other
        cdef double product
        for i in range(leads.many):
            for one in range(self.width):
                if leads.z[i, one] == 0.0:
                    continue
                for other in range(one, self.width):
                    product = leads.z[i, one] * leads.z[i, other]
                    if product != 0.0:
                        add_single(&variance[i, 0], &self.covariance[self.row_of_pair[one, other], 0],
                                   <float> product, self.reps)

    cdef void _uplifts(self, Leads leads, const double[:, ::1] p, const float[:, ::1] variance,
                       const Py_ssize_t[:, ::1] asked, double[::1] baseline, double[:, ::1] value,
                       double[:, ::1] error) noexcept nogil:
        cdef Py_ssize_t i, a, j, rep
        cdef double eligible, of_rotation, own, square
        for i in range(leads.many):
            self._take_up(leads, i)
            eligible = leads.eligible(i)
            of_rotation = self._rotation(leads, i, &p[i, 0], &variance[i, 0], eligible, &baseline[i])
            for a in range(asked.shape[1]):
                rep = asked[i, a]
                if rep < 0:
                    value[i, a] = error[i, a] = NAN
                    continue
                own = p[i, rep] * (1.0 - p[i, rep])
                for j in range(self.pairs):
                    leads.common[j] = own * leads.row[leads.own + j][rep] - leads.pulled[j]
                square = of_rotation + self._shared(leads.common)
                square += own * own * variance[i, rep] * (1.0 - 2.0 * leads.mask(i)[rep] / eligible)
                value[i, a] = p[i, rep] - baseline[i]
                error[i, a] = self.slope * sqrt(max(square, 0.0))

    cdef double _rotation(self, Leads leads, Py_ssize_t i, const double* p, const float* variance, double eligible,
                          double* baseline) noexcept nogil:
        """The eligible reps' mean, what their own parts add to its variance, and in `pulled` what f(x, r) does."""
        cdef Py_ssize_t r, j
        cdef double pull, total = 0.0
        baseline[0] = 0.0
        for r in range(self.reps):
            pull = leads.mask(i)[r] * p[r] / eligible
            baseline[0] += pull
            pull *= 1.0 - p[r]
            leads.reps[r] = pull
            total += pull * pull * variance[r]
        for j in range(self.pairs):
            leads.pulled[j] = dot(leads.reps, leads.row[leads.own + j], self.reps)
        return total

    cdef double _shared(self, const double* common) noexcept nogil:
        """What the uncertainty of beta adds: common' S common."""
        cdef double total = 0.0
        cdef Py_ssize_t one, other
        for one in range(self.pairs):
            for other in range(self.pairs):
                total += common[one] * self.beta_covariance[one, other] * common[other]
        return total

    cdef void _shares(self, Leads leads, const double[:, ::1] eta, const double[:, ::1] p,
                      const Py_ssize_t[:, ::1] asked, double[:, :, ::1] shares) noexcept nogil:
        cdef Py_ssize_t i, a, k, rep
        cdef double eligible, total, apart
        for i in range(leads.many):
            self._take_up(leads, i)
            eligible = leads.eligible(i)
            for a in range(asked.shape[1]):
                rep = asked[i, a]
                if rep < 0 or eligible == 0.0:
                    continue
                total = secants(&eta[i, 0], &p[i, 0], leads.mask(i), rep, 1.0 / eligible, leads.reps, self.reps)
                for k in range(leads.directions):
                    apart = total * leads.row[k][rep] - dot(leads.reps, leads.row[k], self.reps)
                    shares[i, a, leads.term[k]] += leads.weight[k] * apart

    cdef void _take_up(self, Leads leads, Py_ssize_t i) noexcept nogil:
        """Turn to one lead: the columns of z(x) that are not 0, then those of f(x, r)."""
        cdef Py_ssize_t j, row, k = 0, held = self.rows.shape[0], matches = leads.fits.shape[1]
        for j in range(self.width):
            if leads.z[i, j] != 0.0:
                leads.term[k], leads.weight[k] = self.term_of[j], self.slope * leads.z[i, j]
                leads.row[k] = &self.rows[j, 0]
                k += 1
        leads.own = k
        for j in range(self.pairs):
            row = leads.fits[i, j] if j < matches else self.ramps[j - matches]
            leads.term[k], leads.weight[k] = self.term_of[self.width + j], self.slope * self.beta[j]
            leads.row[k] = &self.rows[row, 0] if row < held else &leads.extra[row - held, 0]
            k += 1
        leads.directions = k


cdef class Leads:
    """The leads of one call, what the one at hand touches, and memory to work in."""

    cdef const double[:, ::1] z, extra
    cdef const Py_ssize_t[:, ::1] fits
    cdef const unsigned char[:, ::1] masks
    cdef const Py_ssize_t[::1] which
    cdef Py_ssize_t many
    # Of the lead at hand: its directions, how many of them are columns of z(x), and of each its term, its weight in
    # recalibrated log-odds, and the reps' values.
    cdef Py_ssize_t directions, own
    cdef Py_ssize_t* term
    cdef double* weight
    cdef const double** row
    cdef double* reps  # a number a rep
    cdef double* pulled  # a number a column of f(x, r)
    cdef double* common

    def __cinit__(self, RepKernel kernel, touched, among=None):
        cdef Py_ssize_t most = kernel.width + kernel.pairs
        cdef Py_ssize_t matches = kernel.pairs - kernel.ramps.shape[0]
        self.z, self.fits, self.extra, self.many = touched.z, touched.fits, touched.extra, len(touched.z)
        _check(self.z.shape[1] == kernel.width and self.fits.shape[1] == matches)
        _check(self.fits.shape[0] == self.many and self.extra.shape[1] == kernel.reps)
        _check(_within(self.fits, 0, kernel.rows.shape[0] + self.extra.shape[0]))
        if among is not None:
            self.masks, self.which = among.masks.view(np.uint8), among.which
            _check(self.masks.shape[1] == kernel.reps and self.which.shape[0] == self.many)
            _check(_within(self.which[None, :], 0, self.masks.shape[0]))
        self.term = <Py_ssize_t*> malloc(most * sizeof(Py_ssize_t))
        self.row = <const double**> malloc(most * sizeof(void*))
        self.weight = <double*> malloc((most + kernel.reps + 2 * kernel.pairs) * sizeof(double))
        if not (self.term and self.row and self.weight):
            raise MemoryError
        self.reps = self.weight + most
        self.pulled = self.reps + kernel.reps
        self.common = self.pulled + kernel.pairs

    def __dealloc__(self):
        free(self.term)
        free(self.row)
        free(self.weight)

    cdef bint ask(self, const Py_ssize_t[:, ::1] asked) noexcept:
        """Whether these can be the reps asked about, below 0 for nobody."""
        return asked.shape[0] == self.many and _within(asked, -1, self.extra.shape[1])

    cdef inline const unsigned char* mask(self, Py_ssize_t i) noexcept nogil:
        return &self.masks[self.which[i], 0]

    cdef double eligible(self, Py_ssize_t i) noexcept nogil:
        cdef Py_ssize_t r, many = 0
        for r in range(self.masks.shape[1]):
            many += self.masks[self.which[i], r]
        return many


cdef bint _within(const Py_ssize_t[:, :] places, Py_ssize_t least, Py_ssize_t end) noexcept:
    cdef Py_ssize_t i, j
    for i in range(places.shape[0]):
        for j in range(places.shape[1]):
            if not least <= places[i, j] < end:
                return False
    return True


cdef _check(bint fits):
    # Nothing below looks where it reads.
    if not fits:
        raise ValueError("The arrays do not fit each other, or not the tables.")
