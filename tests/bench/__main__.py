"""`make bench`: every benchmark in turn, as tables; an hour or so on one free core.

What each takes there, about: training half a minute, gain 15 minutes, honesty 12, policy values 10, matching 5, delay
labels 4, rivals one without Vowpal Wabbit and econml (`make rivals` installs these and takes some 15).
"""

from tests.bench import claims, delay, gain, honesty, matching, policy_value, replay, rivals, training

training.main()
gain.main(["--seeds", "5"])
honesty.main(["--worlds", "100", "--seeds", "5"])
policy_value.main(["--worlds", "200"])
claims.main(["--rounds", "100"])
matching.main(["--seeds", "3", "--explored", "10"])
replay.main(["--worlds", "100"])
delay.main(["--seeds", "2"])
rivals.main(["--seeds", "5"])
