"""Where dependencies come from: one module a service, none knows another."""
