"""Every recorded exchange of a real Open edX, replayed against our endpoints on a real database."""
