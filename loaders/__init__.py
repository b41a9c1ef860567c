"""Many small reads made one: batch functions named as questions, the pages of lists and the cursors into them."""
