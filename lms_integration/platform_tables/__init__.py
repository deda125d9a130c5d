"""Open edX's own tables that request paths read beside the overviews, each as small as they need."""
