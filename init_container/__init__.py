"""`spark-staging-init`: brings a bundle's dependencies into the pod's volumes before Spark starts."""
