"""`make bench`: every benchmark in turn, as tables."""

from tests.bench import claims, gain, honesty, policy_value, training

training.main()
gain.main(["--seeds", "5"])
honesty.main(["--worlds", "100", "--seeds", "5"])
policy_value.main(["--worlds", "200"])
claims.main(["--rounds", "100"])
