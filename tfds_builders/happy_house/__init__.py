"""The happy_house dataset."""
