"""`make bench`: every benchmark in turn, as tables; an hour or so on one free core.

What each takes there, about: training half a minute, training and matching at scale ten, gain 15, honesty 12, policy
values 10, matching 5, exploration over months 12, delay labels 4, rivals one without Vowpal Wabbit and econml (`make
rivals` installs these and takes some 15).
"""

from tests.bench import (
    claims,
    delay,
    exploring,
    gain,
    honesty,
    matching,
    matching_at_scale,
    policy_value,
    replay,
    rivals,
    training,
    training_at_scale,
)

training.main()
training_at_scale.main([])
matching_at_scale.main([])
gain.main(["--seeds", "5"])
honesty.main(["--worlds", "100", "--seeds", "5"])
policy_value.main(["--worlds", "200"])
claims.main(["--rounds", "100"])
matching.main(["--seeds", "3", "--explored", "10"])
exploring.main(["--seeds", "20"])
replay.main(["--worlds", "100"])
delay.main(["--seeds", "2"])
rivals.main(["--seeds", "5"])
