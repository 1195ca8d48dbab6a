"""The search: its job, its trials, its oracles, its processes; `search` runs it."""
