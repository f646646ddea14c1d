"""The ledger: who was given which lead, why, by whom, and what came of it, in SQLite or PostgreSQL."""
