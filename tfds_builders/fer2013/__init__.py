"""The fer2013 dataset."""
