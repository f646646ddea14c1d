"""What happened: checked tables, the ledger, the simulator. Only this room reads and writes business data."""
