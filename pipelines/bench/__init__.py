"""How fast it is, as ratios to what else one would run, measured in turn within one run."""
