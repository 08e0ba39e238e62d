"""How the client reaches the staging server: as whom, by which connection, and how often it tries."""
