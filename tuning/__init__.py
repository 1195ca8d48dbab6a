"""What can be trained (`hypermodels`), how it is searched (`search`) and trained (`fitting`)."""
