"""What is left in a cluster of bundles that have ended and of submissions that were cut off."""
