"""What is made after the start: once, for all who wait for it."""

import threading

import pytest

from serving.running.later import Later


def test_many_who_ask_at_once_wait_for_one_making():
    begun, may_end, made = threading.Event(), threading.Event(), []

    def make():
        begun.set()
        assert may_end.wait(30)
        made.append(object())
        return made[-1]

    later, got = Later(make), []
    threads = [threading.Thread(target=lambda: got.append(later())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    assert later.made is None
    may_end.set()
    for thread in threads:
        thread.join()
    assert got == made * 4
    assert later.made is made[0]


def test_a_making_that_failed_is_tried_again():
    answers = iter([OSError("no file"), "pages"])

    def make():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    later = Later(make)
    with pytest.raises(OSError, match="no file"):
        later()
    assert later.made is None
    assert later() == "pages"
