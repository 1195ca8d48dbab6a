"""Builders that turn the raw files of a dataset into TFRecords."""
