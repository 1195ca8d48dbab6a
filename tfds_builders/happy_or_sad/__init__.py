"""The happy_or_sad dataset."""
