"""What stock Spark understands: its command line, its properties and their values, and how dependencies reach it."""
