"""What the server knows: tables, one writer with group commit, and the operations on them."""
