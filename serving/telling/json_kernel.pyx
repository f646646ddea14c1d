# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""`serving.telling.json_rows.written`, compiled: a figure gets 16 decimals, without a search for its shortest form.

They are within two units of the 16th decimal, which is about what a probability in double precision tells.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport PyObject
from libc.math cimport fabs
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from serving.telling.json_rows import Picked, figures

cdef bytes _two_digits = b"".join(b"%02d" % number for number in range(100))
cdef const char* TWO_DIGITS = PyBytes_AS_STRING(_two_digits)
cdef Py_ssize_t WIDTH = 18  # of a figure below 10: a digit, a point and 16 decimals; a sign where it is below 0
cdef double MOST = 1e9  # whose digits fit an integer


cdef struct Column:  # of what is alike, the texts, those that are picked out and the figures, one is there
    const char* alike
    PyObject* texts
    const Py_ssize_t* which
    const double* figures
    Py_ssize_t length  # of what is alike
    const char* block  # what is picked from
    const Py_ssize_t* starts


def written(columns, Py_ssize_t n):
    """As `serving.telling.json_rows.written`."""
    if n < 0:
        raise ValueError(f"A table has 0 rows or more, got {n}.")
    cdef list kept = [_prepared(column, n) for column in columns]  # what the pointers below point into
    cdef Py_ssize_t many = len(kept), size = 2 + max(n - 1, 0), place
    cdef Column* table = <Column*> malloc(max(many, 1) * sizeof(Column))
    if not table:
        raise MemoryError
    try:
        for place in range(many):
            size += _describe(&table[place], kept[place], n)
        made = PyBytes_FromStringAndSize(NULL, size)
        _write(PyBytes_AS_STRING(made), table, many, n)
        return made
    finally:
        free(table)


cdef object _prepared(object column, Py_ssize_t n):
    """The column as it can be written: figures that do not fit the form of the others become texts."""
    if isinstance(column, bytes):
        return column
    if len(column.which if isinstance(column, Picked) else column) != n:
        raise ValueError(f"Every column must have {n} rows.")
    if isinstance(column, Picked):
        return _checked(column)
    if isinstance(column, list):
        for text in column:
            if not isinstance(text, bytes):
                raise TypeError(f"A text must be bytes, got {type(text).__name__}.")
        return column
    column = np.ascontiguousarray(column, dtype=np.float64)
    return column if _small(column) else figures(column)


cdef object _checked(object picked):
    """The same, once every text lies within the block."""
    cdef const Py_ssize_t[::1] starts = picked.starts, which = picked.which
    cdef Py_ssize_t row, many = starts.shape[0] - 1, length = len(picked.block)
    for row in range(which.shape[0]):
        if not 0 <= which[row] < many or not 0 <= starts[which[row]] <= starts[which[row] + 1] <= length:
            raise ValueError(f"There is no text {which[row]} in the block.")
    return picked


cdef bint _small(const double[::1] column) noexcept:
    cdef Py_ssize_t row
    for row in range(column.shape[0]):
        if not fabs(column[row]) < MOST:  # not a number is not
            return False
    return True


cdef Py_ssize_t _describe(Column* described, object column, Py_ssize_t n):
    """Point to a column's content, and count the bytes that it takes."""
    cdef const double[::1] values
    cdef const Py_ssize_t[::1] starts, which
    cdef Py_ssize_t row, size = 0
    described.alike, described.texts, described.which, described.figures, described.length = NULL, NULL, NULL, NULL, 0
    if isinstance(column, bytes):
        described.alike, described.length = PyBytes_AS_STRING(column), PyBytes_GET_SIZE(column)
        return described.length * n
    if isinstance(column, list):
        described.texts = <PyObject*> column
        for row in range(n):
            size += PyBytes_GET_SIZE(<object> PyList_GET_ITEM(column, row))
        return size
    if isinstance(column, Picked):
        starts, which = column.starts, column.which
        for row in range(n):
            size += starts[which[row] + 1] - starts[which[row]]
        described.block = PyBytes_AS_STRING(column.block)
        described.starts, described.which = &starts[0], &which[0] if n else NULL
        return size
    values = column
    for row in range(n):
        size += WIDTH + (values[row] < 0.0) + _further_digits(<unsigned int> fabs(values[row]))
    if n:
        described.figures = &values[0]
    return size


cdef void _write(char* to, const Column* table, Py_ssize_t many, Py_ssize_t n):
    """Fill in everything."""
    cdef Py_ssize_t row, place, length, start
    cdef PyObject* text
    to[0] = b"["
    to += 1
    for row in range(n):
        if row:
            to[0] = b","
            to += 1
        for place in range(many):
            if table[place].figures:
                to = _figure(to, table[place].figures[row])
                continue
            if table[place].which:
                start = table[place].starts[table[place].which[row]]
                length = table[place].starts[table[place].which[row] + 1] - start
                memcpy(to, table[place].block + start, length)
            elif table[place].texts:
                text = <PyObject*> PyList_GET_ITEM(<object> table[place].texts, row)
                length = PyBytes_GET_SIZE(<object> text)
                memcpy(to, PyBytes_AS_STRING(<object> text), length)
            else:
                length = table[place].length
                memcpy(to, table[place].alike, length)
            to += length
    to[0] = b"]"


cdef char* _figure(char* to, double figure) noexcept:
    """One figure below MOST in size. The decimals are worked out in two halves, each of which fits an integer."""
    cdef double size = fabs(figure)
    cdef unsigned int whole = <unsigned int> size
    cdef double half = (size - whole) * 1e8
    cdef unsigned int upper = <unsigned int> half
    cdef Py_ssize_t further = _further_digits(whole), place
    to[0] = b"-"
    to += figure < 0.0
    for place in range(further, -1, -1):
        to[place] = <char> (48 + whole % 10)
        whole //= 10
    to += further
    to[1] = b"."
    _eight(to + 2, upper)
    _eight(to + 10, <unsigned int> ((half - upper) * 1e8))
    return to + WIDTH


cdef inline Py_ssize_t _further_digits(unsigned int whole) noexcept:
    """How many digits a number has beside the first one."""
    cdef Py_ssize_t further = 0
    while whole >= 10:
        whole //= 10
        further += 1
    return further


cdef inline void _eight(char* to, unsigned int number) noexcept:
    """Eight digits, the first ones 0 where the number is small."""
    cdef int place
    for place in range(6, -1, -2):
        memcpy(to + place, TWO_DIGITS + 2 * (number % 100), 2)
        number //= 100
