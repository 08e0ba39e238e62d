"""What is ours in the pods of a job: init container and volumes, joined with the user's own templates."""
