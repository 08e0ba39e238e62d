"""What each route does, by subject.  A handler runs only for callers that its route's rule lets in."""
