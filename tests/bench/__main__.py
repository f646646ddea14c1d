"""`make bench`: every benchmark in turn, as tables."""

from tests.bench import claims, gain, honesty, matching, policy_value, replay, training

training.main()
gain.main(["--seeds", "5"])
honesty.main(["--worlds", "100", "--seeds", "5"])
policy_value.main(["--worlds", "200"])
claims.main(["--rounds", "100"])
matching.main(["--seeds", "5"])
replay.main(["--worlds", "100"])
