"""`make bench`: every benchmark in turn, as tables."""

from tests.bench import training

training.main()
