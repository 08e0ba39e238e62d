"""Everything a job names, looked at before anything is created."""
