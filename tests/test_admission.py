"""Who gets a slot, who waits, who is turned away at once; how often a key may ask, and a wrong one be tried."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.web.admission import REFILLED_IN_S, Lane
from serving.web.problems import Problem
from serving.web.quotas import MOST_NAMES, FailedTries, Quota

SHORT_S = 0.012


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


async def settled():
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


class Visitors:
    """Requests at a lane: each stays in its slot until it is told to leave."""

    def __init__(self, lane, clock):
        self.lane, self.clock = lane, clock
        self.inside, self.tasks = [], []

    async def come(self, name, within_s=1_000.0):
        leave = asyncio.Event()

        async def visit():
            async with self.lane.slot(self.clock.now + within_s):
                self.inside.append((name, leave))
                await leave.wait()

        task = asyncio.create_task(visit())
        self.tasks.append(task)
        await settled()
        return task

    async def turned_away(self, tasks):
        """Of each whether it was, once those who are only told later have been."""
        self.clock.now += SHORT_S
        await settled()
        return [refused(task) for task in tasks]

    async def leave(self, seconds=0.0):
        self.clock.now += seconds
        name, leave = self.inside.pop(0)
        leave.set()
        await settled()
        return name


def visited(story, **lane):
    clock = Clock()

    async def tell():
        asyncio.get_running_loop().time = clock  # a wait ends when the story says so
        told = {"slots": 1, "short_s": SHORT_S, "burst": 0, "waited": lambda seconds: None, **lane}
        visitors = Visitors(Lane(**told, clock=clock), clock)
        await story(visitors)
        while visitors.inside:
            await visitors.leave()
        await asyncio.gather(*visitors.tasks, return_exceptions=True)

    asyncio.run(tell())


def refused(task):
    error = task.exception() if task.done() else None
    assert error is None or isinstance(error, Problem), error
    return error is not None


def test_those_who_wait_get_their_slot_in_the_order_in_which_they_came():
    async def story(visitors):
        for name in "abc":
            await visitors.come(name)
        assert visitors.lane.waiting == 2
        assert [await visitors.leave() for _ in range(3)] == ["a", "b", "c"]

    visited(story)


def test_who_would_wait_longer_than_is_allowed_is_turned_away_soon():
    async def story(visitors):
        # 5 ms a request until some were seen: the third in the queue would wait 15 ms, more than 12
        tasks = [await visitors.come(number) for number in range(4)]
        assert await visitors.turned_away(tasks) == [False, False, False, True]
        assert tasks[3].exception().status == 503
        assert 1 <= int(tasks[3].exception().headers["Retry-After"]) <= 3

    visited(story)


def test_so_many_may_wait_until_their_deadline_whatever_they_have_to_expect():
    async def story(visitors):
        tasks = [await visitors.come(number) for number in range(6)]
        assert await visitors.turned_away(tasks) == [False] * 4 + [True] * 2
        assert [await visitors.leave(seconds=1.0) for _ in range(4)] == [0, 1, 2, 3]

    visited(story, patient=3, short_s=0.0)


def test_the_time_in_the_queue_is_told_of_all_who_had_to_wait_and_of_nobody_else():
    waits = []

    async def story(visitors):
        tasks = [await visitors.come(number) for number in range(4)]  # at work, two who wait, and one too many
        assert (await visitors.turned_away(tasks)).count(True) == 1
        assert waits == pytest.approx([SHORT_S])
        await visitors.leave(seconds=0.5)
        await visitors.leave(seconds=0.5)

    visited(story, waited=waits.append)
    assert waits == pytest.approx([SHORT_S, SHORT_S + 0.5, SHORT_S + 1.0])


def test_a_slot_that_comes_sooner_than_expected_is_taken():
    async def story(visitors):
        tasks = [await visitors.come(number) for number in range(4)]
        for _ in range(3):
            await visitors.leave()
        assert [name for name, _ in visitors.inside] == [3]
        assert await visitors.turned_away(tasks) == [False] * 4

    visited(story)


def test_slower_requests_make_the_queue_shorter():
    async def story(visitors):
        for _ in range(200):
            await visitors.come("slow")
            await visitors.leave(seconds=0.1)
        tasks = [await visitors.come(name) for name in ("at work", "waits 100 ms", "would wait 200 ms")]
        assert await visitors.turned_away(tasks) == [False, False, True]

    visited(story)


def test_a_lane_of_long_requests_learns_at_once_how_long_they_take():
    async def story(visitors):
        await visitors.come("long")
        await visitors.leave(seconds=5.0)  # a quarter of a second in the mean
        tasks = [await visitors.come(number) for number in range(42)]
        assert await visitors.turned_away(tasks) == [False] * 40 + [True] * 2

    visited(story, short_s=10.0)


def test_a_moment_s_halt_does_not_make_the_queue_shorter():
    async def story(visitors):
        await visitors.come("held up")
        await visitors.leave(seconds=10.0)  # counts as 10 ms: 5.25 in the mean
        tasks = [await visitors.come(number) for number in range(4)]
        assert await visitors.turned_away(tasks) == [False, False, False, True]

    visited(story)


def test_a_burst_may_wait_until_its_credit_is_used_up_and_gets_it_back_in_time():
    async def story(visitors):
        tasks = [await visitors.come(number) for number in range(9)]
        assert await visitors.turned_away(tasks) == [False] * 6 + [True] * 3  # one at work, two short waits, three more
        while visitors.inside:
            await visitors.leave()
        visitors.clock.now += 1.1 * REFILLED_IN_S / 3  # a third of the credit: one request
        tasks = [await visitors.come(number) for number in range(6)]
        assert await visitors.turned_away(tasks) == [False] * 4 + [True] * 2

    visited(story, burst=3)


def test_a_queue_that_stands_brings_no_credit():
    async def story(visitors):
        for number in range(6):
            await visitors.come(number)
        for _ in range(10):  # the queue is never empty, for much longer than a credit takes to come back
            visitors.clock.now += REFILLED_IN_S
            assert await visitors.turned_away([await visitors.come("one more")]) == [True]

    visited(story, burst=3)


def test_only_leisure_brings_credit_and_not_a_moment_without_a_queue():
    async def accepted(visitors):
        tasks = [await visitors.come(number) for number in range(12)]
        return (await visitors.turned_away(tasks)).count(False)

    async def story(visitors):
        assert await accepted(visitors) == 2 + 2 + 3  # at work, as many, and the burst
        for still_inside, more in ((2, 2), (1, 1 + 2 + 3)):
            while len(visitors.inside) > still_inside or visitors.lane.waiting:
                await visitors.leave()
            visitors.clock.now += REFILLED_IN_S
            assert await accepted(visitors) == more

    visited(story, slots=2, burst=3, short_s=0.0)


def test_nobody_waits_beyond_the_own_deadline():
    async def story(visitors):
        await visitors.come("at work")
        assert refused(await visitors.come("no time", within_s=0.0))
        assert visitors.lane.waiting == 0
        assert not refused(await visitors.come("has time"))

    visited(story)


def test_who_goes_away_leaves_no_slot_taken():
    async def story(visitors):
        await visitors.come("at work")
        gone = await visitors.come("goes away")
        gone.cancel()
        await settled()
        await visitors.leave()
        assert not refused(await visitors.come("next"))
        assert [name for name, _ in visitors.inside] == ["next"]

    visited(story)


def test_who_goes_away_as_the_slot_comes_passes_it_on():
    async def story(visitors):
        await visitors.come("at work")
        gone, after = await visitors.come("goes away"), await visitors.come("after")
        visitors.inside.pop(0)[1].set()
        await asyncio.sleep(0)  # the slot is handed on, but not yet taken up
        gone.cancel()
        await settled()
        assert [name for name, _ in visitors.inside] == ["after"]
        assert not refused(after)

    visited(story)


@given(st.integers(1, 4), st.integers(0, 5), st.lists(st.sampled_from(["come", "leave", "cancel"]), max_size=40))
def test_there_are_never_more_at_work_than_slots_and_never_an_idle_slot_before_a_queue(slots, burst, steps):
    async def story(visitors):
        for number, step in enumerate(steps):
            if step == "come":
                await visitors.come(number)
            elif step == "leave" and visitors.inside:
                await visitors.leave()
            elif step == "cancel" and visitors.tasks:
                visitors.tasks[number % len(visitors.tasks)].cancel()
                await settled()
                visitors.inside = [(n, e) for n, e in visitors.inside if not visitors.tasks[_place(n, steps)].done()]
            assert len(visitors.inside) <= slots
            assert visitors.lane.waiting == 0 or len(visitors.inside) == slots

    def _place(number, steps):
        return steps[:number].count("come")

    visited(story, slots=slots, burst=burst)


def test_a_key_may_ask_so_often_and_then_waits_for_what_flows_back():
    clock = Clock()
    quota = Quota(120, clock=clock)
    for _ in range(120):
        quota.take("a")
    with pytest.raises(Problem) as refusal:
        quota.take("a")
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (429, "1")
    quota.take("b")  # another key's bucket is its own
    clock.now += 1.0  # two a second
    quota.take("a")
    quota.take("a")
    with pytest.raises(Problem):
        quota.take("a")


def test_a_source_that_fails_too_often_is_put_off_until_the_minute_is_over():
    clock = Clock()
    failed = FailedTries(10, clock=clock)
    for _ in range(10):
        assert failed.refusal("a") is None
        failed.note("a")
        clock.now += 1.0
    assert failed.refusal("a").headers["Retry-After"] == "50"
    assert failed.refusal("b") is None
    clock.now += 50.0
    assert failed.refusal("a") is None


def test_what_is_remembered_of_strangers_is_bounded():
    failed = FailedTries(10)
    for number in range(MOST_NAMES + 10):
        failed.note(str(number))
    assert len(failed._tries) == MOST_NAMES


def test_a_thousand_wrong_keys_cost_ten_looks_into_the_ledger_and_keep_nobody_out(desk):
    from data.settings import Settings
    from serving.web.app import layers

    looks = []
    gate, arguments = next(one for one in layers(desk.app, Settings()) if "find_key" in one[1])
    find = arguments["find_key"]
    arguments["find_key"] = lambda presented: (looks.append(presented), find(presented))[1]
    served = []

    async def app(scope, receive, send):
        served.append(scope["state"]["caller"].key_id)

    def ask(key, source="203.0.113.5"):
        headers = [(b"authorization", f"Bearer {key}".encode())]
        scope = {"type": "http", "method": "GET", "path": "/v1/reps", "headers": headers, "client": (source, 9)}
        try:
            asyncio.run(door(scope, None, None))
        except Problem as problem:
            return problem.status
        return 200

    door = gate(app, **arguments)
    assert ask(desk.keys["crm"]) == 200
    statuses = [ask(f"lm_{number:010x}_guess") for number in range(1_000)]
    assert statuses == [401] * 10 + [429] * 990
    assert len(looks) == 11
    assert ask(desk.keys["crm"]) == 200  # behind the same proxy, and known
    assert ask(desk.keys["manager"]) == 429  # not known yet: it has to wait a minute
    assert ask(desk.keys["manager"], source="203.0.113.6") == 200


def test_a_request_that_comes_before_its_worker_is_ready_waits_for_it(desk, monkeypatch):
    from serving.web import app as application

    monkeypatch.setattr(application, "STARTED_WITHIN_S", 3_600.0)
    find, parts = application.key_finder(desk.app), desk.app.state.parts
    desk.app.state.parts = None

    async def tell():
        early = asyncio.create_task(find(desk.keys["crm"]))
        await settled()
        assert not early.done()
        desk.app.state.parts = parts
        return await early

    assert asyncio.run(tell()).role == "crm"


def test_a_key_over_its_quota_gets_429_and_the_others_do_not(tmp_path):
    from tests.conftest import Desk

    desk = Desk(f"sqlite:///{tmp_path}/ledger.db", key_requests_per_minute=3)
    answers = [desk.call("GET", "/v1/policy") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].json()["status"] == 429
    assert desk.call("GET", "/v1/policy", role="manager").status_code == 200
    desk.close()


@pytest.mark.parametrize(("under_way", "comes"), [("/long", "/short"), ("/short", "/lead"), ("/long", "/lead")])
def test_a_call_under_way_leaves_the_slots_of_the_other_kinds_to_them(under_way, comes):
    from serving.web.guard import Bodies, Limits

    lanes = {"slots": 1, "lead_paths": {"/lead"}, "lead_slots": 1, "long_paths": {"/long"}, "long_slots": 1}
    limits = Limits(100, 100, (), 2.0, short_wait_s=0.001, burst=0, **lanes)
    served = []

    async def app(scope, receive, send):
        served.append(scope["path"])
        if scope["path"] == under_way:
            await doors(asked(comes), None, None)

    def asked(path):
        return {"type": "http", "method": "GET", "path": path, "headers": [], "state": {}}

    doors = Bodies(app, limits=limits)
    asyncio.run(doors(asked(under_way), None, None))
    assert served == [under_way, comes]
