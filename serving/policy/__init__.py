"""Who could get a lead, and with which chance: the rule book and what follows from it. Pure functions, no ledger."""
