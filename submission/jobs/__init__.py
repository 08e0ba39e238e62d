"""Jobs that are there: waiting for them, showing, following and ending them."""
