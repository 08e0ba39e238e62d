"""How long bundles and blobs live: what is known of them, what is decided, and who acts."""
