"""`report.html`: a run on one page that needs no other file; `page` writes it."""
