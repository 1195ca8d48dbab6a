"""The ck_plus dataset."""
