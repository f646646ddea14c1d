# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""`serving.json_rows.written`, compiled: figures below 10 get 16 decimals each, without a search for their shortest form.

They are within two units of the 16th decimal, which is about what a probability in double precision tells.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport PyObject
from libc.math cimport fabs
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from serving.json_rows import figures

cdef bytes _two_digits = b"".join(b"%02d" % number for number in range(100))
cdef const char* TWO_DIGITS = PyBytes_AS_STRING(_two_digits)
cdef Py_ssize_t WIDTH = 18  # of a figure: a digit, a point and 16 decimals; a sign where it is below 0


cdef struct Column:  # of what is alike, the texts and the figures, one is there
    const char* alike
    PyObject* texts
    const double* figures
    Py_ssize_t length  # of what is alike


def written(columns, Py_ssize_t n):
    """As `serving.json_rows.written`."""
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
    if len(column) != n:
        raise ValueError(f"Every column must have {n} rows.")
    if isinstance(column, list):
        for text in column:
            if not isinstance(text, bytes):
                raise TypeError(f"A text must be bytes, got {type(text).__name__}.")
        return column
    column = np.ascontiguousarray(column, dtype=np.float64)
    return column if _small(column) else figures(column)


cdef bint _small(const double[::1] column) noexcept:
    cdef Py_ssize_t row
    for row in range(column.shape[0]):
        if not fabs(column[row]) < 10.0:  # not a number is not
            return False
    return True


cdef Py_ssize_t _describe(Column* described, object column, Py_ssize_t n):
    """Point to a column's content, and count the bytes that it takes."""
    cdef const double[::1] values
    cdef Py_ssize_t row, size = 0
    described.alike, described.texts, described.figures, described.length = NULL, NULL, NULL, 0
    if isinstance(column, bytes):
        described.alike, described.length = PyBytes_AS_STRING(column), PyBytes_GET_SIZE(column)
        return described.length * n
    if isinstance(column, list):
        described.texts = <PyObject*> column
        for row in range(n):
            size += PyBytes_GET_SIZE(<object> PyList_GET_ITEM(column, row))
        return size
    values = column
    for row in range(n):
        size += WIDTH + (values[row] < 0.0)
    if n:
        described.figures = &values[0]
    return size


cdef void _write(char* to, const Column* table, Py_ssize_t many, Py_ssize_t n):
    """Fill in everything."""
    cdef Py_ssize_t row, place, length
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
            if table[place].texts:
                text = <PyObject*> PyList_GET_ITEM(<object> table[place].texts, row)
                length = PyBytes_GET_SIZE(<object> text)
                memcpy(to, PyBytes_AS_STRING(<object> text), length)
            else:
                length = table[place].length
                memcpy(to, table[place].alike, length)
            to += length
    to[0] = b"]"


cdef char* _figure(char* to, double figure) noexcept:
    """One figure below 10 in size. The decimals are worked out in two halves, each of which fits an integer."""
    cdef double size = fabs(figure)
    cdef int digit = <int> size
    cdef double half = (size - digit) * 1e8
    cdef unsigned int upper = <unsigned int> half
    to[0] = b"-"
    to += figure < 0.0
    to[0] = <char> (48 + digit)
    to[1] = b"."
    _eight(to + 2, upper)
    _eight(to + 10, <unsigned int> ((half - upper) * 1e8))
    return to + 18


cdef inline void _eight(char* to, unsigned int number) noexcept:
    """Eight digits, the first ones 0 where the number is small."""
    cdef int place
    for place in range(6, -1, -2):
        memcpy(to + place, TWO_DIGITS + 2 * (number % 100), 2)
        number //= 100
