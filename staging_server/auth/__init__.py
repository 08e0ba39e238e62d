"""Who asks, and what they may do: one authenticator for each `auth.mode`."""
