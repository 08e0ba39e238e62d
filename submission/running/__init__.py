"""`spark-staging run`: a stock spark-submit as a child, with what its pods need."""
