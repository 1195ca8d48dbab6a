"""What can be trained (`hypermodels`), how it is searched (`sweep`) and trained (`training`)."""
